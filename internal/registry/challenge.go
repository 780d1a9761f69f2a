package registry

import "strings"

// chooseChallenge returns the Bearer challenge, which also serves the
// anonymous, else the Basic one, else "".
func chooseChallenge(lines []string) string {
	basic := ""
	for _, line := range lines {
		for start := range challengeStarts(line) {
			switch rest := line[start:]; {
			case isBearer(rest):
				return rest
			case hasScheme(rest, "basic"):
				basic = "Basic"
			}
		}
	}
	return basic
}

// challengeStarts yields where a challenge could start: at the start of line
// and after each comma that stands outside of quotes.
func challengeStarts(line string) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		quoted, start := false, true
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted, start = !quoted, false
			case quoted || c == ' ' || c == '\t':
			case c == ',':
				start = true
			case start:
				start = false
				if !yield(i) {
					return
				}
			}
		}
	}
}

func isBearer(challenge string) bool { return hasScheme(challenge, "bearer") }

func hasScheme(challenge, scheme string) bool {
	name, _, _ := strings.Cut(challenge, " ")
	return strings.EqualFold(strings.TrimRight(name, ","), scheme)
}
