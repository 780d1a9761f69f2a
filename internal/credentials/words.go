package credentials

import (
	"regexp"
	"strings"
	"unicode"
)

// mostQuoted is how many characters of what a helper said are quoted.
const mostQuoted = 200

// holdsSecret matches text that may hold a secret: JSON, the trace of a shell
// script, a header, or a name and a value.
var holdsSecret = regexp.MustCompile(`(?im)[{}]|^\++ |bearer\s|authorization|(secret|password|passwd|token|auth)["'\\]*\s*[:=]`)

// quote returns `: "what it said"`, or "" where a helper said nothing or what
// it said may hold a secret. One word alone may be a token.
func quote(text string) string {
	words := oneLine(text)
	if holdsSecret.MatchString(text) || !strings.Contains(words, " ") {
		return ""
	}
	return `: "` + words + `"`
}

// oneLine returns the first characters of a text, without control characters
// and with single spaces.
func oneLine(text string) string {
	printable := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	words := []rune(strings.Join(strings.Fields(printable), " "))
	return strings.TrimSpace(string(words[:min(len(words), mostQuoted)]))
}
