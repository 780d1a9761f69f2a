package lang

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

//go:embed words.zh.txt
var wordsFile string

//go:embed messages.zh.txt
var messagesFile string

//go:embed others.zh.txt
var othersFile string

// The catalogues have the Chinese by the English.
var (
	words    = catalogue(wordsFile)    // formats and words of the command
	messages = catalogue(messagesFile) // formats of errors and warnings
	others   = catalogue(othersFile)   // texts that do not come from the source
)

// catalogue returns a function that reads a file once: pairs of lines, each a Go string,
// with comments between them.
func catalogue(file string) func() map[string]string {
	return sync.OnceValue(func() map[string]string {
		all, err := readCatalogue(file)
		if err != nil {
			panic(err) // embedded, and read by a test
		}
		return all
	})
}

func readCatalogue(file string) (map[string]string, error) {
	all := make(map[string]string)
	english := ""
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		text, err := strconv.Unquote(line)
		switch {
		case err != nil || text == "":
			return nil, fmt.Errorf("catalogue: no Go string: %s", line)
		case english == "":
			english = text
		case all[english] != "":
			return nil, fmt.Errorf("catalogue: twice: %q", english)
		default:
			all[english] = text
			english = ""
		}
	}
	if english != "" {
		return nil, fmt.Errorf("catalogue: without Chinese: %q", english)
	}
	return all, nil
}
