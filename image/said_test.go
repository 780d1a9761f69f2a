package image

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSaid(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"a message", `{"code":403,"message":"not on the\nallow list"}`, "not on the allow list"},
		{"the first of several", `{"msg":"one","message":"two"}`, "one"},
		{"deep within", `{"errors":[{"code":"DENIED","detail":{"reason":"closed"}}]}`, "closed"},
		{"an empty message is none", `{"error":"","error_description":"expired"}`, "expired"},
		{"a value is not a name", `{"code":"error","text":"x"}`, `{"code":"error","text":"x"}`},
		{"quoted in a string", `{"a":"\"message\":\"x\""}`, `{"a":"\"message\":\"x\""}`},
		{"escapes", `{"message":"caf\u00e9 \"a\""}`, `café "a"`},
		{"cut off", `{"message":"a", "x`, "a"},
		{"a page", "<html><head><style>p{color:red}</style><script>var x='<p>'</script></head><body>\n<p>Log&nbsp;in &amp; wait</p><!-- secret --></body>", "Log in & wait"},
		{"plain text", "  hello\n there ", "hello there"},
		{"a message in a page is text", `<p>{"message":"x"}</p>`, `{"message":"x"}`},
		{"no text", "<br>", ""},
		{"nothing", "", ""},
		{"not UTF-8", "\xff\xfe", "\uFFFD"},
	}
	for _, tt := range tests {
		if got := said([]byte(tt.body)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSaidIsBounded(t *testing.T) {
	for _, body := range []string{strings.Repeat("é", 1<<20), `{"message":"` + strings.Repeat("é ", 1000) + `"}`, strings.Repeat("<", 1<<20)} {
		if got := said([]byte(body)); utf8.RuneCountInString(got) > maxSaid+1 || !strings.HasSuffix(got, "…") {
			t.Errorf("%.20s: %d characters", body, utf8.RuneCountInString(got))
		}
	}
}
