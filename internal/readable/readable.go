// Package readable finds what a person would read in the body of an HTTP
// answer that is not what was asked for: the message of an error in JSON, the
// text of a web page, or the body itself.
package readable

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxSearched is how many bytes of a body are searched.
const maxSearched = 64 << 10

// Text returns the text of a body on one line, "" for an empty body. It reads
// JSON and pages that are cut off, too. The text may hold whatever the server
// sent, control characters and secrets included.
func Text(body []byte) string {
	body = body[:min(len(body), maxSearched)]
	text := Message(body)
	switch {
	case text != "":
	case IsPage(body):
		text = pageText(body)
	default:
		text = string(body)
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
}

// IsPage reports whether a body is a web page.
func IsPage(body []byte) bool {
	start := bytes.ToLower(body[:min(len(body), 512)])
	return bytes.Contains(start, []byte("<html")) || bytes.Contains(start, []byte("<!doctype html"))
}

// messages match a string by each of the names that APIs give to the text of
// an error, the most telling first. Quotes within a string are escaped, so they
// match in none.
var messages = sync.OnceValue(func() (all []*regexp.Regexp) {
	for _, name := range []string{"message", "msg", "error_description", "errorMessage", "error", "detail", "details", "reason", "title"} {
		all = append(all, regexp.MustCompile(`"`+name+`"\s*:\s*("(?:[^"\\]|\\.)+")`))
	}
	return all
})

// Message returns the text of an error in JSON, at any depth; "" if there is
// none.
func Message(body []byte) (text string) {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return ""
	}
	for _, m := range messages() {
		if found := m.FindSubmatch(body); found != nil && json.Unmarshal(found[1], &text) == nil {
			return text
		}
	}
	return ""
}

// pageText is the text of a page without its scripts and styles.
func pageText(page []byte) string {
	var text strings.Builder
	hidden := 0
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return text.String()
		case html.TextToken:
			if hidden == 0 {
				text.Write(z.Text())
				text.WriteByte(' ')
			}
		case html.StartTagToken, html.EndTagToken:
			hidden = max(0, hidden+hides(z, kind))
		}
	}
}

// hides returns by how much a tag changes the number of elements around the
// text that no person sees.
func hides(z *html.Tokenizer, kind html.TokenType) int {
	name, _ := z.TagName()
	switch atom.Lookup(name) {
	case atom.Script, atom.Style, atom.Noscript, atom.Svg, atom.Template:
		if kind == html.StartTagToken {
			return 1
		}
		return -1
	}
	return 0
}
