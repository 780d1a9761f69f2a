package report

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	urlInText = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s"'<>/]*@)?([^\s"'<>?#]*)(?:[?#][^\s"'<>]*)?`)
	authInfo  = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}`)
	named     = regexp.MustCompile(`(?i)([\w-]*(?:token|password|passwd|secret|signature|sig|credential|access[_-]?key|api[_-]?key))(=|"\s*:\s*"?)[^\s&"',;}]+`)
	urlInArg  = regexp.MustCompile(`(?is)^(.*?)([a-z][a-z0-9+.-]*://)(.*)$`)
	userInArg = regexp.MustCompile(`^([^/@]*[=,])?[^/@=,]*:[^/]*@`)
)

// withoutSecrets returns text without the users, queries and fragments of URLs, without
// the values of Authorization and of what is named like a secret, and without control
// characters.
func withoutSecrets(text string) string {
	text = urlInText.ReplaceAllString(text, "$1$2")
	text = authInfo.ReplaceAllString(text, "$1 …")
	text = named.ReplaceAllString(text, "$1$2…")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// commandLine returns a command that a shell reads as these arguments, without secrets.
func commandLine(args []string) string {
	words := []string{"segpull"}
	for _, a := range args {
		words = append(words, quoted(argument(a)))
	}
	return strings.Join(words, " ")
}

// argument removes the secrets of one argument, in which a URL may have any characters.
func argument(a string) string {
	if m := urlInArg.FindStringSubmatch(a); m != nil {
		return m[1] + m[2] + address(m[3])
	}
	// user:password@host, but not image:tag@sha256:…
	if !strings.Contains(a, "@sha256:") {
		a = userInArg.ReplaceAllString(a, "$1")
	}
	return withoutSecrets(a)
}

// address removes user, query and fragment from what follows the scheme of a URL. A
// password may have any characters, so everything before the last @ counts as the user.
func address(rest string) string {
	rest = rest[strings.LastIndex(rest, "@")+1:]
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quoted quotes a word for a POSIX shell.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
