package image

import "github.com/segpull/segpull/internal/readable"

// maxSaid is how many characters of an answer an error quotes.
const maxSaid = 200

// said returns the readable text of a body that is not a manifest, on one line of at most 200 characters.
func said(body []byte) string {
	text := readable.Text(body)
	if runes := []rune(text); len(runes) > maxSaid {
		text = string(runes[:maxSaid]) + "…"
	}
	return text
}
