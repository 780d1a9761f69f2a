package lang

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notForUsers are the directories without messages for users of the command: the server's
// answers and log, metrics, the page of --report, the man page and releases are English, as are
// tests and benchmarks.
var notForUsers = []string{"bench", "examples", "serve", "internal/report", "internal/manual", "internal/release", "internal/needs", "internal/lang"}

// notMessages are calls whose strings are no messages: they are compared with, or go to
// the log, the metrics and the server's clients, which are English.
var notMessages = regexp.MustCompile(`^(panic|len|regexp\.MustCompile|strings\.(Contains|HasPrefix|TrimPrefix|TrimSuffix|CutPrefix|EqualFold)|serve\.Metric|(.*\.)?([lL]og)\.(Debug|Info|Warn|Error)|mux\.HandleFunc|n\.keep|.*\.refused|answer|.*\.Set|.*\.SetVersionTemplate)$`)

// notWords are strings that are no messages although they look so: what segpull writes
// for other programs, the layout of lines, and the version.
var notWords = regexp.MustCompile(`^(segpull \[flags\].*|segpull \{\{.*|segpull:( %s)+ ?$|\{\{string.*|\{\n.*|\[+(registry|host)\b.*|\n\[mirror.*|mirrors = \[.*|(tags|tls-verify) = false\n|ns = true\n|insecure = true\n|  +(http|ca|client) = .*|  \[\[registry.*|configs:\n.*|    auth:\n.*|      (ca|cert)_file: .*|docker info$|\{\{json .*|  %q:\n.*|GET /.*|text/plain.*|<!doctype.*|.*# HELP.*|segpull_\w+\{.*|listening on %s\n|commit %s|, modified)`)

var letters = regexp.MustCompile(`[a-z]{2}`)

// TestEveryMessageHasItsChinese compares the catalogue with the source. Its errors have
// the lines to add.
func TestEveryMessageHasItsChinese(t *testing.T) {
	used := make(map[string]bool)
	var missing []string
	for _, m := range sourceMessages(t) {
		catalogue, name := messages(), "messages"
		if m.own {
			catalogue, name = words(), "words"
		}
		if catalogue[m.text] == "" && !used[m.text] {
			missing = append(missing, fmt.Sprintf("# to %s.zh.txt, for %s\n%q\n\"\"", name, m.place, m.text))
		}
		used[m.text] = true
	}
	if len(missing) > 0 {
		t.Errorf("the catalogues lack the Chinese of\n%s", strings.Join(missing, "\n"))
	}
	for _, state := range states {
		used[state] = true
	}
	for _, catalogue := range []map[string]string{words(), messages()} {
		for english, chinese := range catalogue {
			if !used[english] {
				t.Errorf("a catalogue has a message that the source lacks: remove %q", english)
			}
			checkPlaceholders(t, english, chinese)
		}
	}
	for english, chinese := range others() {
		checkPlaceholders(t, english, chinese)
	}
}

// states are those of a segpull.SourceProgress and of a segpull.MirrorCheck, which the
// command says.
var states = []string{
	"active", "waiting", "cooling", "probing", "off",
	"verified", "unverified", "none", "required", "ok", "refused",
}

func TestEveryStateHasItsChinese(t *testing.T) {
	for _, state := range states {
		if words()[state] == "" {
			t.Errorf("words.zh.txt lacks %q", state)
		}
	}
}

// The notes of the presets are in errors.
func TestEveryNoteHasItsChinese(t *testing.T) {
	presets, err := os.ReadFile(filepath.Join("..", "..", "sources", "presets.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range regexp.MustCompile(`(?m)^note = "(.*)"$`).FindAllStringSubmatch(string(presets), -1) {
		if Chinese.Text(note[1]) == note[1] {
			t.Errorf("others.zh.txt lacks %q", note[1])
		}
	}
}

// checkPlaceholders wants Chinese with the placeholders of the English, each at least once.
func checkPlaceholders(t *testing.T, english, chinese string) {
	t.Helper()
	if strings.Contains(verb.ReplaceAllString(english+chinese, ""), "%") {
		t.Errorf("%q has a %% that is no placeholder", english)
	}
	set := func(format string) map[int]string {
		all := make(map[int]string)
		for _, v := range verbsOf(format) {
			all[v.arg] = format[v.start:v.end]
			if i := strings.Index(all[v.arg], "]"); i >= 0 {
				all[v.arg] = "%" + all[v.arg][i+1:]
			}
		}
		return all
	}
	if !maps.Equal(set(english), set(chinese)) {
		t.Errorf("%q has other placeholders than %q", chinese, english)
	}
	if strings.HasSuffix(english, "\n") != strings.HasSuffix(chinese, "\n") {
		t.Errorf("%q and %q end differently", chinese, english)
	}
}

// message is a string of the source that users may see.
type message struct {
	text  string
	own   bool // the command says it itself
	place string
}

// sourceMessages returns the strings of the source that users may see. Those that are
// put together with + are one, with %s for what is no constant.
func sourceMessages(t *testing.T) []message {
	t.Helper()
	var all []message
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || slices.Contains(notForUsers, name) ||
				strings.HasPrefix(name, "internal/") && strings.HasSuffix(name, "test")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		for _, m := range messagesOf(file) {
			all = append(all, message{m.text, m.own, fmt.Sprintf("%s:%d", name, fset.Position(m.at).Line)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

type found struct {
	text string
	own  bool // the command's own words
	at   token.Pos
}

func messagesOf(root ast.Node) []found {
	var all []found
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			return false
		case *ast.CallExpr:
			name := nameOf(n.Fun)
			for _, arg := range n.Args[min(len(n.Args), ownWords[name][0]):min(len(n.Args), ownWords[name][1])] {
				if text, whole := flatten(arg); whole {
					all = append(all, found{text, true, arg.Pos()})
				}
			}
			return !notMessages.MatchString(name)
		case *ast.BinaryExpr:
			text, _ := flatten(n)
			if n.Op != token.ADD || !isMessage(text) {
				return true
			}
			all = append(all, found{text, false, n.Pos()})
			for _, part := range parts(n) {
				if _, literal := part.(*ast.BasicLit); !literal {
					all = append(all, messagesOf(part)...)
				}
			}
			return false
		case *ast.BasicLit:
			if text, _ := flatten(n); n.Kind == token.STRING && isMessage(text) {
				all = append(all, found{text, false, n.Pos()})
			}
		}
		return true
	})
	return all
}

// ownWords says for the functions that format the command's own words which arguments
// are formats: from the first to before the second.
var ownWords = map[string][2]int{"say": {0, 1}, "plural": {1, 3}}

// parts returns what an expression adds.
func parts(e ast.Expr) []ast.Expr {
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		return append(parts(sum.X), parts(sum.Y)...)
	}
	return []ast.Expr{e}
}

// flatten returns an expression as a format; whole reports whether it is a constant.
func flatten(e ast.Expr) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return constant.StringVal(constant.MakeFromLiteral(e.Value, e.Kind, 0)), true
		}
	case *ast.ParenExpr:
		return flatten(e.X)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			x, constantX := flatten(e.X)
			y, constantY := flatten(e.Y)
			return x + y, constantX && constantY
		}
	}
	return "%s", false
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return nameOf(e.Fun) + "()"
	}
	return ""
}

// isMessage reports whether a string has several words.
func isMessage(text string) bool {
	return strings.Contains(strings.TrimSpace(text), " ") && letters.MatchString(verb.ReplaceAllString(text, "")) && !notWords.MatchString(text)
}
