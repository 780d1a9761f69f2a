package segpull_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/segpull/segpull"

// packages has the rules of docs/architecture.md: the level of each package, which of
// our packages it may import, and why no others. Tests may also import registrytest,
// buckettest, pulltest, testmain and needs.
var packages = map[string]struct {
	level   int
	imports []string
	why     string
}{
	"cmd/segpull":   {8, []string{".", "cache", "image", "internal/access", "internal/imagelist", "internal/lang", "internal/manual", "internal/report", "sources"}, "the command reads flags and shows events and lists; only the library defines a pull"},
	"bench":         {10, []string{"bench/corrupt", "bench/demo", "bench/fleet", "bench/lab", "bench/limits", "bench/program", "bench/report", "bench/serve", "bench/soak"}, "the command line parses flags; the packages below measure"},
	"bench/chart":   {0, nil, "a picture shows figures of any program"},
	"bench/client":  {0, nil, "a client that shared code with what it measures would share its mistakes"},
	"bench/corrupt": {8, []string{"internal/registrytest", "bench/lab"}, "a corrupt mirror is one of a case's"},
	"bench/demo":    {8, []string{"internal/registrytest", "bench/client", "bench/lab", "bench/output", "bench/program"}, "the demo shows a pull or a server, and measures nothing"},
	"bench/lab":     {7, []string{".", "internal/deploytest", "internal/registrytest", "bench/output", "bench/program", "bench/weaknet"}, "the lab measures what users get, and does not know how it is reported"},
	"bench/limits":  {9, []string{"bench/lab", "bench/program", "bench/report", "bench/weaknet"}, "a promise is measured by runs of the lab"},
	"bench/output":  {0, nil, "a reader that shared code with the writers would share their mistakes"},
	"bench/program": {0, nil, "any program is measured the same way, so its package knows none"},
	"bench/report":  {8, []string{"internal/registrytest", "bench/chart", "bench/lab"}, "a report shows runs, and starts none"},
	"bench/scripts": {1, []string{"bench/program"}, "the scripts need segpull and a shell, nothing of the bench"},
	"bench/serve":   {9, []string{"internal/registrytest", "bench/client", "bench/lab", "bench/program", "bench/report"}, "the server is measured as a process, beside its peers"},
	"bench/soak":    {8, []string{".", "internal/registrytest", "bench/lab", "bench/output", "bench/program"}, "a soak compares the command with its promises, and measures no speed"},
	"bench/weaknet": {0, nil, "a network carries packets of any program"},

	"bench/fleet":    {9, []string{"internal/registrytest", "bench/client", "bench/fleetsim", "bench/lab", "bench/program", "bench/report"}, "a fleet is measured beside its simulation"},
	"bench/fleetsim": {0, nil, "a simulation computes, and starts nothing"},

	"internal/report": {7, []string{"."}, "a report shows the events of a pull, whoever made it"},

	"internal/pulltest":    {7, []string{".", "internal/registrytest", "internal/testmain"}, "the tests of pulls see what users see"},
	"internal/hostiletest": {8, []string{".", "internal/pulltest", "internal/registrytest"}, "hostile mirrors are tested as users meet them"},
	"internal/quirktest":   {8, []string{".", "internal/pulltest", "internal/registrytest", "sources"}, "odd registries are tested as users meet them"},
	"internal/servetest":   {8, []string{".", "cache", "internal/pulltest", "internal/registrytest", "sources"}, "a server is tested as clients meet it"},
	"internal/crashtest":   {8, []string{".", "cache", "internal/pulltest", "internal/registrytest", "sources"}, "crashes are tested as users meet them"},

	".": {6, []string{"archive", "bucket", "cache", "image", "internal/class", "internal/deliver", "internal/download", "internal/engine", "internal/output", "internal/upstream", "segment", "serve", "sources", "state", "transfer", "verify"}, "the library combines the parts, and nothing below depends on it"},

	"internal/upstream": {5, []string{"bucket", "cache", "image", "segment", "serve", "sources", "transfer", "verify"}, "sources are the same for pulls and a server, and do not depend on where images go"},

	"internal/deliver":  {4, []string{"archive", "image", "internal/again", "internal/engine", "push", "segment", "sources"}, "an image is given away whoever fetched it"},
	"internal/download": {4, []string{"archive", "bucket", "cache", "image", "internal/output", "state", "transfer", "verify"}, "blobs are brought to disk, whatever reads them there"},
	"internal/class":    {3, []string{"image", "segment", "sources", "verify"}, "errors are sorted by their types and methods, wherever they come from"},
	"internal/output":   {3, []string{"archive", "image", "state", "verify"}, "an archive is written from verified blobs, whoever fetched them"},

	"serve": {4, []string{"bucket", "cache", "image", "internal/access", "segment", "state", "transfer", "verify"}, "an HTTP handler over the cache and transfers; which mirrors there are is an interface of its own"},

	"cache":    {3, []string{"archive", "image", "state"}, "the cache keeps what a transfer fetched, and does not depend on mirrors"},
	"transfer": {3, []string{"segment", "sources", "state", "verify"}, "a transfer fetches blobs to disk, and does not depend on references or archives"},

	"internal/imagelist": {2, []string{"image"}, "a list names images, whoever pulls them"},

	"bucket":  {2, []string{"internal/readable"}, "a bucket keeps blobs, and does not depend on mirrors, caches or registries"},
	"archive": {2, []string{"image", "internal/layer"}, "an archive is written from verified blobs, wherever they came from"},
	"sources": {2, []string{"image", "internal/credentials", "internal/hostconf", "internal/registry"}, "mirrors serve bytes, and do not depend on plans, disks or archives"},
	"state":   {2, []string{"segment"}, "the sidecar records ranges, and does not depend on networks or archives"},
	"verify":  {2, []string{"internal/layer", "segment"}, "mirrors, disks and the scheduler are interfaces of its own"},

	"image":                 {1, []string{"internal/readable"}, "an image can be resolved from anything that fetches"},
	"internal/buckettest":   {1, nil, "a server that shared code with what it tests would share its mistakes"},
	"internal/access":       {1, nil, "clients are admitted to any HTTP server"},
	"internal/credentials":  {1, nil, "logins are read from files and helpers, whoever sends them"},
	"internal/engine":       {1, nil, "an engine is given bytes, whatever wrote them"},
	"internal/hostconf":     {1, nil, "files of engines are read, whoever asks the hosts in them"},
	"internal/lang":         {1, nil, "a catalogue translates texts, wherever they come from"},
	"internal/layer":        {1, nil, "a layer is a stream of bytes, wherever it comes from"},
	"internal/registry":     {1, []string{"internal/readable"}, "the protocol has one host, and does not depend on mirrors"},
	"internal/registrytest": {1, nil, "a server that shared code with what it tests would share its mistakes"},
	"push":                  {1, []string{"internal/again"}, "the registry and the blobs are interfaces of its own"},
	"segment":               {1, nil, "the scheduler is pure: sources and disks are interfaces of its own"},

	"internal/again":      {0, nil, "any request may be made again"},
	"internal/deploytest": {0, nil, "files in deploy are text, whoever runs what they configure"},

	"internal/manual":   {0, nil, "help texts are text, whatever the command does"},
	"internal/needs":    {0, nil, "any test may need a program"},
	"internal/testmain": {0, nil, "any tests may wait"},
	"internal/release":  {1, []string{"internal/manual"}, "a release is made of the binary, which describes itself"},
	"internal/readable": {0, nil, "the readable text of an answer does not depend on the client"},
	"internal/realtest": {1, []string{"internal/deploytest"}, "real programs are tested against the binary alone"},
}

func TestImportsPointDown(t *testing.T) {
	used := make(map[[2]string]bool)
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case path.Ext(name) == ".go":
			checkImports(t, name, used)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, rule := range packages {
		for _, imported := range rule.imports {
			if !used[[2]string{dir, imported}] {
				t.Errorf("%s does not import %s: take the permission out of docs/architecture.md and this test", dir, imported)
			}
			if packages[imported].level >= rule.level {
				t.Errorf("%s on level %d may import %s on level %d: imports point down", dir, rule.level, imported, packages[imported].level)
			}
		}
	}
}

// checkImports parses the file itself, since the go command would leave out the files
// of other systems. It records which imports are used.
func checkImports(t *testing.T, name string, used map[[2]string]bool) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	dir := path.Dir(name)
	rule, known := packages[dir]
	if !known {
		t.Errorf("%s: package %s is missing: add it to docs/architecture.md and to this test", name, dir)
		return
	}
	allowed := rule.imports
	if strings.HasSuffix(name, "_test.go") {
		allowed = append(slices.Clone(allowed), dir, "internal/buckettest", "internal/needs", "internal/pulltest", "internal/registrytest", "internal/testmain")
	}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		ours, ok := inModule(imported)
		if ok && !slices.Contains(allowed, ours) {
			t.Errorf("%s imports %s, which %s may not: %s", name, ours, dir, rule.why)
		}
		if ok {
			used[[2]string{dir, ours}] = true
		}
	}
}

// inModule returns a package's directory in this module.
func inModule(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}
