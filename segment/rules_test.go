package segment

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var removeRules = flag.Bool("rules", false, "remove the scheduler's rules one at a time, and show that the witness of each fails")

// rule is a rule or a constant of the scheduler. Its witness is a test that
// fails once from is replaced by to.
type rule struct{ name, file, from, to, witness string }

// TestRules removes each rule and shows that a test notices. It builds the
// package once for each, so without -rules it only shows that the rule can be
// found.
func TestRules(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			source, err := os.ReadFile(r.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), r.from); n != 1 {
				t.Fatalf("%q stands %d times in %s", r.from, n, r.file)
			}
			if *removeRules {
				t.Parallel()
				r.mustFail(t, strings.Replace(string(source), r.from, r.to, 1))
			}
		})
	}
}

// mustFail runs the witness with other text for the rule's file.
func (r rule) mustFail(t *testing.T, text string) {
	dir := t.TempDir()
	file, overlay, binary := filepath.Join(dir, r.file), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "segment.test")
	original, err := filepath.Abs(r.file)
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{file: text, overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	pattern := "^" + strings.ReplaceAll(r.witness, "/", "$/^") + "$"
	out, err := exec.CommandContext(t.Context(), binary, "-test.v", "-test.timeout=1m", "-test.run", pattern).CombinedOutput()
	switch {
	case !strings.Contains(string(out), "=== RUN"):
		t.Fatalf("there is no test %s", r.witness)
	case err == nil:
		t.Errorf("%s passes without the rule", r.witness)
	}
}

// TestEveryConstantHasAWitness shows that no constant of the scheduler is
// without a rule, and that docs/scheduler.md lists all of them.
func TestEveryConstantHasAWitness(t *testing.T) {
	constants := schedulerConstants(t)
	if len(constants) >= 30 {
		t.Errorf("the scheduler has %d constants", len(constants))
	}
	for _, name := range constants {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.name == name }) {
			t.Errorf("the constant %s has no witness", name)
		}
	}
	doc, err := os.ReadFile("../docs/scheduler.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		name, witness := "| `"+r.name+"` |", "| "+r.witness+" |"
		if !slices.ContainsFunc(strings.Split(string(doc), "\n"), func(line string) bool {
			return strings.HasPrefix(line, name) && strings.HasSuffix(line, witness)
		}) {
			t.Errorf("docs/scheduler.md has no row %s … %s", name, witness)
		}
	}
}

// schedulerConstants are the names of all constants with a value of their own,
// except the defaults of options.
func schedulerConstants(t *testing.T) (names []string) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				if value.Type == nil && len(value.Values) > 0 && !value.Names[0].IsExported() && !strings.HasPrefix(value.Names[0].Name, "default") {
					names = append(names, value.Names[0].Name)
				}
			}
		}
	}
	return names
}
