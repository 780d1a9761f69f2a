package image

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAQuoteIsBounded(t *testing.T) {
	for _, body := range []string{strings.Repeat("é", 1<<20), `{"message":"` + strings.Repeat("é ", 1000) + `"}`, strings.Repeat("<", 1<<20)} {
		if got := quote([]byte(body)); utf8.RuneCountInString(got) > maxQuoted+1 || !strings.HasSuffix(got, "…") {
			t.Errorf("%.20s: %d characters", body, utf8.RuneCountInString(got))
		}
	}
}
