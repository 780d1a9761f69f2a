package image

import "github.com/segpull/segpull/internal/readable"

// maxQuoted is how many characters of an answer an error quotes.
const maxQuoted = 200

// quote returns the readable text of a body that is not a manifest, on one line of at most 200 characters.
func quote(body []byte) string {
	text := readable.Text(body)
	if runes := []rune(text); len(runes) > maxQuoted {
		text = string(runes[:maxQuoted]) + "…"
	}
	return text
}
