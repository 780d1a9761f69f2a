package lang

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// mostText is the longest text that is translated, and mostScanned how much of it and of
	// its parts is looked up, in bytes: errors quote servers, which may be hostile.
	mostText    = 4 << 10
	mostScanned = 2 << 20
	// certain is how many letters between its placeholders make a pattern certain. One
	// with fewer counts only if the text of a placeholder is known as well.
	certain = 6
)

var (
	// verb is a placeholder of a format. Its groups are the number, if it has one, and the letter.
	verb = regexp.MustCompile(`%(?:\[(\d+)\])?[-+#0]*(?:\*|\d+)?(?:\.\d+)?([a-zA-Z])`)
	// separator ends a part of a text that may be a message of its own.
	separator = regexp.MustCompile(`: |; |, | \(|\)`)
)

// Text returns a finished text in the language.
func (l Language) Text(text string) string {
	if l != Chinese || len(text) > mostText {
		return text
	}
	t := translation{left: mostScanned}
	for _, p := range patterns() {
		if p.occurs(text) {
			t.patterns = append(t.patterns, p)
		}
	}
	return t.text(text)
}

// translation is that of one text.
type translation struct {
	patterns []*pattern // that may have made it, or a part of it
	left     int        // bytes that may still be looked up
}

// text translates the whole text, if that is known, or else, from the left, the longest
// parts between separators that are.
func (t *translation) text(text string) string {
	ends := append(separator.FindAllStringIndex(text, -1), []int{len(text), len(text)})
	var b strings.Builder
	for start := 0; start < len(text); {
		for ends[0][1] <= start {
			ends = ends[1:]
		}
		chinese, end := t.longest(text, start, ends)
		if end == 0 { // nothing is known before the next separator
			if end = ends[0][0]; end <= start {
				end = ends[0][1]
			}
			chinese = text[start:end]
		}
		b.WriteString(chinese)
		start = end
	}
	return b.String()
}

// longest translates the longest part from start that a certain pattern has made, or else
// any pattern, and returns where it ends; 0 if none is known.
func (t *translation) longest(text string, start int, ends [][]int) (chinese string, end int) {
	for _, least := range []int{certain, 0} {
		for _, separator := range slices.Backward(ends) {
			if end := separator[0]; end > start {
				if chinese, ok := t.message(text[start:end], least); ok {
					return chinese, end
				}
			}
		}
	}
	return "", 0
}

// message translates a text that one pattern with at least so many letters has made.
func (t *translation) message(text string, least int) (string, bool) {
	if t.left -= len(text); t.left < 0 {
		return "", false
	}
	if chinese, ok := exact()[text]; ok {
		return chinese, true
	}
	for _, p := range t.patterns {
		if p.letters < least || !p.frames(text) || !p.occurs(text) {
			continue
		}
		t.left -= len(text)
		values := p.match(text)
		if values == nil {
			continue
		}
		known := false
		args := make([]any, len(values))
		for i, value := range values {
			args[i] = value
			if p.open[i] {
				chinese := t.text(value)
				known = known || chinese != value
				args[i] = chinese
			}
		}
		if known || p.letters >= certain {
			return fmt.Sprintf(p.chinese, args...), true
		}
	}
	return "", false
}

// pattern finds the texts that a format makes.
type pattern struct {
	english  string
	chinese  string   // a format for strings
	literals []string // what is between the placeholders
	letters  int      // of all literals
	open     []bool   // which placeholders may have any text
	expr     func() *regexp.Regexp
}

func newPattern(english, chinese string) *pattern {
	p := &pattern{english: english, chinese: asStrings(chinese), literals: verb.Split(english, -1)}
	expr, end := `(?s)\A`, 0
	for _, v := range verbsOf(english) {
		expr += regexp.QuoteMeta(english[end:v.start])
		end = v.end
		if v.arg <= len(p.open) { // it comes again
			expr += `.*?`
			continue
		}
		value, open := valueOf(v.letter)
		switch {
		case !open:
		case strings.HasSuffix(english[:v.start], "-"), strings.HasSuffix(english[:v.start], "/"):
			value = `([^\s;]*)` // the rest of a flag or a URL
		case v.end == len(english) && !strings.HasSuffix(p.chinese, fmt.Sprintf("%%[%d]s", v.arg)):
			value = `([^;]*)` // what follows the message would come into its middle
		}
		expr += value
		p.open = append(p.open, open)
	}
	expr += regexp.QuoteMeta(english[end:]) + `\z`
	p.expr = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
	for _, r := range strings.Join(p.literals, "") {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			p.letters++
		}
	}
	return p
}

// placeholder is one of a format: arg counts from 1.
type placeholder struct {
	start, end, arg int
	letter          string
}

func verbsOf(format string) []placeholder {
	var all []placeholder
	next := 1
	for _, at := range verb.FindAllStringSubmatchIndex(format, -1) {
		if at[2] >= 0 {
			next, _ = strconv.Atoi(format[at[2]:at[3]])
		}
		all = append(all, placeholder{at[0], at[1], next, format[at[4]:at[5]]})
		next++
	}
	return all
}

// asStrings returns a format whose arguments are all strings.
func asStrings(format string) string {
	out, end := "", 0
	for _, v := range verbsOf(format) {
		out += fmt.Sprintf("%s%%[%d]s", format[end:v.start], v.arg)
		end = v.end
	}
	return out + format[end:]
}

// valueOf returns an expression for what a placeholder makes, and whether that is any text.
func valueOf(letter string) (expr string, open bool) {
	switch letter {
	case "d", "f", "g":
		return `(-?[0-9.]+)`, false
	case "q":
		return `("(?:[^"\\]|\\.)*")`, false
	}
	return `(.*?)`, true
}

// occurs reports whether a text has all literals of the pattern in their order.
func (p *pattern) occurs(text string) bool {
	for _, literal := range p.literals {
		i := strings.Index(text, literal)
		if i < 0 {
			return false
		}
		text = text[i+len(literal):]
	}
	return true
}

// frames reports whether a text begins and ends with the literals at the ends of the pattern.
func (p *pattern) frames(text string) bool {
	return strings.HasPrefix(text, p.literals[0]) && strings.HasSuffix(text, p.literals[len(p.literals)-1])
}

// match returns the texts of the placeholders, nil if the pattern does not make the text.
func (p *pattern) match(text string) []string {
	if groups := p.expr().FindStringSubmatch(text); groups != nil {
		return groups[1:]
	}
	return nil
}

// patterns are those of the catalogue, the ones with most letters first: they are most certain.
var patterns = sync.OnceValue(func() []*pattern {
	var all []*pattern
	for _, catalogue := range []map[string]string{messages(), others()} {
		for english, chinese := range catalogue {
			if verb.MatchString(english) {
				all = append(all, newPattern(english, chinese))
			}
		}
	}
	slices.SortFunc(all, func(a, b *pattern) int {
		return cmp.Or(cmp.Compare(b.letters, a.letters), strings.Compare(a.english, b.english))
	})
	return all
})

// exact has the messages without placeholders.
var exact = sync.OnceValue(func() map[string]string {
	all := maps.Clone(others())
	maps.Copy(all, messages())
	maps.DeleteFunc(all, func(english, _ string) bool { return verb.MatchString(english) })
	return all
})
