package manual

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Text is a help text in its parts. Paragraphs and descriptions are without line breaks.
type Text struct {
	Intro     []string // paragraphs before the first section
	Usage     []Usage
	Flags     []Flag
	Notes     []string // paragraphs after the first section
	ExitCodes []ExitCode
	Examples  []string
}

// Usage is a form of the command line, such as "segpull serve [flags]", and what it does.
type Usage struct{ Line, Description string }

// Flag is what a help text says of a flag: its names, such as "-m, --mirror", what follows
// them, such as " NAME|URL" or "[=ENGINE]", and what it does.
type Flag struct{ Names, Argument, Description string }

// Name is the long name, without hyphens.
func (f Flag) Name() string { return f.Names[strings.Index(f.Names, "--")+2:] }

// Summary is the beginning of the description.
func (f Flag) Summary() string { return beginning(f.Description, ": ", "; ", " [") }

// Summary says what a command does: for a verb, such as "segpull cache ls", what its usage
// says; for others, such as "segpull serve", the first sentence of the text.
func (t Text) Summary(command string) string {
	words := strings.Fields(command)
	for _, u := range t.Usage {
		if len(words) > 2 && strings.HasPrefix(u.Line+" ", command+" ") {
			return u.Description
		}
	}
	if len(t.Intro) == 0 {
		return ""
	}
	sentence := strings.TrimPrefix(strings.TrimPrefix(t.Intro[0], command+" "), words[0]+" ")
	return strings.TrimSuffix(beginning(sentence, ". ", ": "), ".")
}

// beginning is what comes before the first of some ends.
func beginning(s string, ends ...string) string {
	for _, end := range ends {
		s, _, _ = strings.Cut(s, end)
	}
	return s
}

// ExitCode is a code and its meaning.
type ExitCode struct {
	Code    int
	Meaning string
}

// descriptions is the number of bytes before the description of a flag.
const descriptions = 27

var (
	flagHead = regexp.MustCompile(`^((?:-\w, )?--[\w-]+)(.*)$`)
	exitCode = regexp.MustCompile(`(\d+) {2}(.+?)(?: {2,}|$)`)
	gap      = regexp.MustCompile(` {2,}`)
)

// Parse reads a help text. A section that it does not know is an error.
func Parse(text string) (Text, error) {
	var t Text
	for _, block := range blocks(text) {
		heading, inSection := strings.CutSuffix(strings.TrimSpace(strings.TrimSuffix(block[0], "[default]")), ":")
		switch {
		case len(block) == 1 || !strings.HasPrefix(block[1], " "):
			t.addParagraph(joined(block))
		case !inSection:
			return Text{}, fmt.Errorf("indented lines without a heading after %q", block[0])
		case heading == "Usage":
			t.Usage = usages(block[1:])
		case heading == "Flags":
			t.Flags = Flags(text)
		case heading == "Exit codes":
			t.ExitCodes = exitCodes(block[1:])
		case heading == "Examples":
			t.Examples = trimmed(block[1:])
		default:
			return Text{}, fmt.Errorf("the section %q is unknown", heading)
		}
	}
	return t, nil
}

// blocks returns what empty lines separate, in lines.
func blocks(text string) (all [][]string) {
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		all = append(all, strings.Split(block, "\n"))
	}
	return all
}

func (t *Text) addParagraph(p string) {
	if t.Usage == nil {
		t.Intro = append(t.Intro, p)
	} else {
		t.Notes = append(t.Notes, p)
	}
}

// usages reads lines "  segpull cache ls      the images", and those that continue a
// description.
func usages(lines []string) (all []Usage) {
	for _, line := range lines {
		if last := len(all) - 1; strings.HasPrefix(line, "   ") && last >= 0 {
			all[last].Description = strings.TrimSpace(all[last].Description + " " + strings.TrimSpace(line))
			continue
		}
		parts := append(gap.Split(strings.TrimSpace(line), 2), "")
		all = append(all, Usage{parts[0], parts[1]})
	}
	return all
}

// Flags returns the flags that a help text describes, in its order, whatever the language
// of its headings.
func Flags(text string) (all []Flag) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		head, rest := line, ""
		if len(line) > descriptions && line[descriptions-1] == ' ' {
			head, rest = line[:descriptions], line[descriptions:]
		}
		head = strings.TrimSpace(head)
		if m := flagHead.FindStringSubmatch(head); m != nil && strings.HasPrefix(line, " ") {
			all = append(all, Flag{m[1], m[2], rest})
		} else if last := len(all) - 1; head == "" && rest != "" && last >= 0 {
			all[last].Description = strings.TrimSpace(all[last].Description + " " + strings.TrimSpace(rest))
		}
	}
	return all
}

// exitCodes reads a table that has one or more codes in a line.
func exitCodes(lines []string) (all []ExitCode) {
	for _, line := range lines {
		for _, m := range exitCode.FindAllStringSubmatch(line, -1) {
			code, _ := strconv.Atoi(m[1])
			all = append(all, ExitCode{code, m[2]})
		}
	}
	slices.SortFunc(all, func(a, b ExitCode) int { return a.Code - b.Code })
	return all
}

func trimmed(lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

func joined(lines []string) string { return strings.Join(trimmed(lines), " ") }
