package image

import (
	"bytes"
	"encoding/json"
	"html"
	"regexp"
	"strings"
)

const (
	// maxSaid is how many characters of an answer an error quotes.
	maxSaid = 200

	// maxSearched is how many bytes of an answer are searched for its text.
	maxSearched = 64 << 10
)

// message matches a string by one of the names that APIs give to the text of an error. Quotes within a
// string are escaped, so that it matches in none.
var message = regexp.MustCompile(`"(?:message|msg|error|error_description|detail|reason)"\s*:\s*("(?:[^"\\]|\\.)+")`)

// markup matches scripts, styles, comments and tags of HTML.
var markup = regexp.MustCompile(`(?is)<script\b.*?</script\s*>|<style\b.*?</style\s*>|<!--.*?-->|<[^>]*>`)

// said returns what a body that is no manifest says to a reader, on one line of at most 200 characters:
// the first text of an error in JSON, else the text of a page without its markup.
func said(body []byte) string {
	body = body[:min(len(body), maxSearched)]
	text := jsonMessage(body)
	if text == "" {
		text = html.UnescapeString(markup.ReplaceAllString(strings.ToValidUTF8(string(body), "\uFFFD"), " "))
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxSaid {
		text = string(runes[:maxSaid]) + "…"
	}
	return text
}

// jsonMessage returns the first text, at any depth of an object or a list in JSON, that has the name of a
// message; "" if there is none. It reads JSON that is cut off, too.
func jsonMessage(body []byte) string {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return ""
	}
	var text string
	if found := message.FindSubmatch(body); found != nil && json.Unmarshal(found[1], &text) == nil {
		return text
	}
	return ""
}
