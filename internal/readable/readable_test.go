package readable

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"nothing":                         {"", ""},
		"text":                            {" not\tfound\r\n", "not found"},
		"not UTF-8":                       {"a\xffb", "a?b"},
		"a message":                       {`{"code":403,"message":"not on the list"}`, "not on the list"},
		"a nested message":                {`{"error":{"code":7,"message":"no \"x\""}}`, `no "x"`},
		"words before code":               {`{"error":"denied","error_description":"log in first"}`, "log in first"},
		"cut off":                         {`{"errors":[{"code":"DENIED","message":"no","detail":{"a`, "no"},
		"no message":                      {`{"a":1}`, `{"a":1}`},
		"a list":                          {`[1]`, `[1]`},
		"a page":                          {"<!DOCTYPE html><title>Stop</title><style>p{}</style><script>let x = \"</p>\"</script><h1>403</h1>\n<p>Not &amp; never", "Stop 403 Not & never"},
		"a page that ends a script twice": {"<html></script>text", "text"},
		"tags in text":                    {"a <b> c", "a <b> c"},
	} {
		if got := Text([]byte(test.body)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`{"message":"no"}`))
	f.Add([]byte("<html><script>x</script>text"))
	f.Add([]byte("\x1b[31m\x00\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		text := Text(body)
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\t") {
			t.Errorf("%q", text)
		}
	})
}
