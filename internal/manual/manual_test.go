package manual_test

import (
	"bytes"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/manual"
	"github.com/segpull/segpull/internal/needs"
)

const text = `tool does things, and does
them well.

Usage:
  tool [flags] FILE
  tool list [flags]        lists what
                           there is

Flags:                                                         [default]
  -m, --mirror NAME|URL    a source, repeatable: see
                           below [none]
      --platform OS/ARCH[/VARIANT]
                           [this machine's]
      --load[=ENGINE]      give it away; in place of a file
      --give-up-after TIME the end [5m]
  -h, --help               print this help

A note about '~' and \.
.profile stays as it is.

Exit codes:
  0  done              2  usage
  1  another error

Examples:
  tool -m x | cat
`

func parse(t *testing.T, text string) manual.Text {
	t.Helper()
	parsed, err := manual.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParse(t *testing.T) {
	want := manual.Text{
		Intro: []string{"tool does things, and does them well."},
		Usage: []manual.Usage{{"tool [flags] FILE", ""}, {"tool list [flags]", "lists what there is"}},
		Flags: []manual.Flag{
			{"-m, --mirror", " NAME|URL", "a source, repeatable: see below [none]"},
			{"--platform", " OS/ARCH[/VARIANT]", "[this machine's]"},
			{"--load", "[=ENGINE]", "give it away; in place of a file"},
			{"--give-up-after", " TIME", "the end [5m]"},
			{"-h, --help", "", "print this help"},
		},
		Notes:     []string{`A note about '~' and \. .profile stays as it is.`},
		ExitCodes: []manual.ExitCode{{0, "done"}, {1, "another error"}, {2, "usage"}},
		Examples:  []string{"tool -m x | cat"},
	}
	if got := parse(t, text); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func TestParseRefusesWhatThePageWouldLack(t *testing.T) {
	for _, damaged := range []string{
		strings.Replace(text, "Examples:", "Samples:", 1),
		strings.Replace(text, "Examples:\n", "for example\n", 1),
	} {
		if _, err := manual.Parse(damaged); err == nil {
			t.Errorf("no error for\n%s", damaged)
		}
	}
}

func TestSummaries(t *testing.T) {
	parsed := parse(t, text)
	for got, want := range map[string]string{
		parsed.Flags[0].Name():      "mirror",
		parsed.Flags[0].Summary():   "a source, repeatable",
		parsed.Flags[2].Summary():   "give it away",
		parsed.Summary("tool"):      "does things, and does them well",
		parsed.Summary("tool list"): "does things, and does them well",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := parse(t, "Usage:\n  tool list all [flags]  list them, sorted\n").Summary("tool list all"); got != "list them, sorted" {
		t.Errorf("the summary of a verb is %q", got)
	}
}

// Programs that show man pages find no fault with the page.
func TestPageIsWellFormed(t *testing.T) {
	page, err := manual.Page("1.2.3-rc1", time.Unix(0, 0), text, []string{strings.ReplaceAll(text, "  tool [", "  tool serve [")})
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string][]string{
		"groff":  {"-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=80n", "-"},
		"mandoc": {"-Tlint", "-Wstyle"},
	} {
		needs.Programs(t, name)
		cmd := exec.CommandContext(t.Context(), name, check...)
		cmd.Stdin = strings.NewReader(page)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if name == "mandoc" {
			stderr.Write(out)
		}
		if err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v\n%s\n%s", name, err, &stderr, page)
		}
		for _, want := range []string{"-m, --mirror NAME|URL", `A note about '~' and \. .profile stays`, "tool -m x | cat"} {
			if name == "groff" && !strings.Contains(strings.Join(strings.Fields(string(out)), " "), want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
	}
}
