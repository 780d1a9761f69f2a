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

// house is docs/architecture.md as rules: what each package may import of
// ours, and why no more. Tests may import registrytest besides.
var house = map[string]struct {
	imports []string
	why     string
}{
	"cmd/segpull":   {[]string{".", "sources"}, "the command reads flags and shows events; what a pull is, the library alone decides"},
	"bench":         {[]string{"bench/corrupt", "bench/demo", "bench/lab", "bench/limits", "bench/program", "bench/report", "bench/soak"}, "the command line parses flags; the packages below measure"},
	"bench/chart":   {nil, "a picture shows anybody's figures"},
	"bench/corrupt": {[]string{"internal/registrytest", "bench/lab"}, "a corrupt mirror is one of a case's"},
	"bench/demo":    {[]string{"internal/registrytest", "bench/lab", "bench/output", "bench/program"}, "the demo shows one pull and measures nothing"},
	"bench/lab":     {[]string{".", "internal/registrytest", "bench/output", "bench/program", "bench/weaknet"}, "the lab measures what users get, and does not know how it is reported"},
	"bench/limits":  {[]string{"bench/lab", "bench/program", "bench/report", "bench/weaknet"}, "a promise is measured by runs of the lab"},
	"bench/output":  {nil, "a reader that shared code with the writers would share their mistakes"},
	"bench/program": {nil, "any program is measured the same way, so its package knows none"},
	"bench/report":  {[]string{"internal/registrytest", "bench/chart", "bench/lab"}, "a report shows runs, and starts none"},
	"bench/scripts": {[]string{"bench/program"}, "the scripts need segpull and a shell, nothing of the bench"},
	"bench/soak":    {[]string{".", "internal/registrytest", "bench/lab", "bench/output", "bench/program"}, "a soak holds the command against its promises, and measures no speed"},
	"bench/weaknet": {nil, "a network carries anybody's packets"},

	".": {[]string{"archive", "image", "segment", "sources", "state", "verify"}, "the library puts the parts together, and nothing below knows of it"},

	"archive": {[]string{"image", "verify"}, "an archive is written from verified blobs, wherever they came from"},
	"sources": {[]string{"image", "internal/credentials", "internal/registry"}, "mirrors serve bytes, and know of no plan, disk or archive"},
	"state":   {[]string{"segment"}, "the sidecar remembers ranges, and knows of no network or archive"},

	"image":                 {[]string{"internal/readable"}, "names and manifests are the ground floor: an image can be resolved from anything that fetches"},
	"internal/credentials":  {nil, "logins are the ground floor: they are read from files and helpers, whoever sends them"},
	"internal/readable":     {nil, "what an answer says to a person is the same, whoever asks"},
	"internal/registry":     {[]string{"internal/readable"}, "the protocol is the ground floor: it speaks to one host, and knows of no mirrors"},
	"internal/registrytest": {nil, "a server that shared code with what it tests would share its mistakes"},
	"internal/realtest":     {nil, "real programs are tested against the binary alone"},
	"segment":               {nil, "the scheduler is pure: sources and disks are interfaces of its own"},
	"verify":                {nil, "hashing is the ground floor: it takes any reader"},
}

func TestImportsPointDown(t *testing.T) {
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case path.Ext(name) == ".go":
			checkImports(t, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkImports reads the file itself rather than ask the go command, which
// would leave out the files of other systems.
func checkImports(t *testing.T, name string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	dir := path.Dir(name)
	rule, known := house[dir]
	if !known {
		t.Errorf("%s: package %s has no place in the house: add it to docs/architecture.md and to this test", name, dir)
		return
	}
	allowed := rule.imports
	if strings.HasSuffix(name, "_test.go") {
		allowed = append(slices.Clone(allowed), dir, "internal/registrytest")
	}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if ours, ok := inModule(imported); ok && !slices.Contains(allowed, ours) {
			t.Errorf("%s imports %s, which %s may not: %s", name, ours, dir, rule.why)
		}
	}
}

// inModule returns a package's folder in this module.
func inModule(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}
