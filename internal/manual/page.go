package manual

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Page returns the man page (man(7)) of a command of a version: from its own help text, and
// from those of its sub-commands, each of which names the command in its usage.
func Page(version string, date time.Time, own string, commands []string) (string, error) {
	program, err := Parse(own)
	if err != nil {
		return "", err
	}
	texts := []Text{program}
	for _, command := range commands {
		t, err := Parse(command)
		if err != nil {
			return "", err
		}
		texts = append(texts, t)
	}
	p := &page{}
	p.line(`.TH SEGPULL 1 "%s" "segpull %s"`, date.UTC().Format(time.DateOnly), escape(version))
	p.line(".SH NAME")
	p.line(`segpull \- pull container images from several mirrors at once`)
	p.synopsis(texts)
	p.line(".SH DESCRIPTION")
	p.paragraphs(slices.Concat(program.Intro, program.Notes))
	p.line(".SH OPTIONS")
	p.text("Defaults are in brackets.")
	p.flags(program.Flags)
	p.line(".SH COMMANDS")
	for _, t := range texts[1:] {
		p.command(t)
	}
	p.line(".SH EXIT STATUS")
	for _, e := range program.ExitCodes {
		p.entry(bold(fmt.Sprint(e.Code)), e.Meaning)
	}
	p.examples(texts)
	p.line(".SH SEE ALSO")
	p.line(`.BR docker (1),`)
	p.line(`.BR podman (1),`)
	p.line(`.BR skopeo (1),`)
	p.text("https://github.com/segpull/segpull")
	return p.String(), nil
}

type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// synopsis lists how each command is called. The program's own usage describes the
// commands, whose texts say it in full.
func (p *page) synopsis(texts []Text) {
	p.line(".SH SYNOPSIS")
	p.line(".nf")
	for i, t := range texts {
		for _, u := range t.Usage {
			if i > 0 || u.Description == "" {
				p.line("%s", bold(u.Line))
			}
		}
	}
	p.line(".fi")
}

func (p *page) command(t Text) {
	words := strings.Fields(t.Usage[0].Line)
	p.line(".SS %s", escape(strings.Join(words[:2], " ")))
	p.paragraphs(slices.Concat(t.Intro, t.Notes))
	for _, u := range t.Usage {
		if u.Description != "" {
			p.entry(bold(u.Line), u.Description)
		}
	}
	p.flags(t.Flags)
}

func (p *page) flags(flags []Flag) {
	for _, f := range flags {
		tag := bold(f.Names)
		if f.Argument != "" {
			tag += italic(f.Argument)
		}
		p.entry(tag, f.Description)
	}
}

// entry writes a tagged paragraph.
func (p *page) entry(tag, text string) {
	p.line(".TP\n%s", tag)
	p.text(text)
}

func (p *page) paragraphs(all []string) {
	for i, text := range all {
		if i > 0 {
			p.line(".PP")
		}
		p.text(text)
	}
}

// text writes text in lines of at most 79 bytes, which the formatter fills.
func (p *page) text(text string) {
	line := ""
	for word := range strings.FieldsSeq(escape(text)) {
		if line != "" && len(line)+1+len(word) > 79 {
			p.line("%s", guarded(line))
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	p.line("%s", guarded(line))
}

func (p *page) examples(texts []Text) {
	p.line(".SH EXAMPLES\n.EX")
	for _, t := range texts {
		for _, example := range t.Examples {
			p.line("%s", guarded(escape(example)))
		}
	}
	p.line(".EE")
}

func bold(s string) string   { return `\fB` + escape(s) + `\fR` }
func italic(s string) string { return `\fI` + escape(s) + `\fR` }

// escape makes roff print each character as it is: without escapes, it takes "-" for a hyphen
// that is no minus sign, and makes typographic quotes and accents.
var escape = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace

// guarded makes text of a line that would be a request of roff.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}
