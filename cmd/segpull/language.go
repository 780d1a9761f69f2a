package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cheggaaa/pb/v3"
	"github.com/spf13/cobra"

	"github.com/segpull/segpull/internal/lang"
	"github.com/segpull/segpull/sources"
)

// language is what this process speaks to people; as with setlocale(3), a process has
// one. JSON, the server's log, results and exit codes are the same in all.
var language = lang.English

// say formats words of the command in the language.
func say(format string, args ...any) string {
	return fmt.Sprintf(language.Format(format), args...)
}

// plural says one of two formats for a number.
func plural(n int, one, many string) string {
	if n == 1 {
		return say(one, n)
	}
	return say(many, n)
}

// pad fills s with spaces up to a width in cells. Chinese characters take two.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-pb.CellCount(s)))
}

// padLeft puts the spaces before s.
func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-pb.CellCount(s))) + s
}

// translated returns a text of the library in the language, as one line.
func translated(text string) string { return language.Text(oneLine(text)) }

// inLanguage returns a help text in the language.
func inLanguage(english string) string {
	if language == lang.Chinese {
		return chineseHelp[english]
	}
	return english
}

//go:embed help.zh.txt
var helpZh string

//go:embed cache.zh.txt
var cacheHelpZh string

//go:embed completion.zh.txt
var completionHelpZh string

//go:embed inspect.zh.txt
var inspectHelpZh string

//go:embed mirrors.zh.txt
var mirrorsHelpZh string

//go:embed serve.zh.txt
var serveHelpZh string

// chineseHelp has the Chinese of each help text, by the English. A test compares them.
var chineseHelp = map[string]string{
	help:           helpZh,
	cacheHelp:      cacheHelpZh,
	completionHelp: completionHelpZh,
	inspectHelp:    inspectHelpZh,
	mirrorsHelp:    mirrorsHelpZh,
	serveHelp:      serveHelpZh,
}

// languageFlag is the value of --lang. chooseLanguage has looked for it before: errors
// about the flags before it are in the language, too.
type languageFlag string

// defineLanguage gives --lang to a command and those below it.
func defineLanguage(cmd *cobra.Command) {
	cmd.Flags().Var(new(languageFlag), "lang", "")
	for _, sub := range cmd.Commands() {
		defineLanguage(sub)
	}
}

func (l *languageFlag) Set(s string) error {
	*l = languageFlag(s)
	if !lang.Language(s).Known() {
		return errors.New("use en or zh")
	}
	return nil
}

func (l *languageFlag) String() string { return string(*l) }
func (l *languageFlag) Type() string   { return "string" }

// chooseLanguage sets the language by --lang, $SEGPULL_LANG or the locale.
func (a *app) chooseLanguage() {
	a.lang = cmp.Or(langFlag(a.args), os.Getenv("SEGPULL_LANG"))
	language = lang.Of(cmp.Or(a.lang, lang.Locale(os.Getenv)))
}

// langFlag returns the value of --lang, or "" without the flag.
func langFlag(args []string) (value string) {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if v, ok := strings.CutPrefix(arg, "--lang="); ok {
			value = v
		} else if arg == "--lang" && i+1 < len(args) {
			value = args[i+1]
		}
	}
	return value
}

// inheritLanguage takes the language from the configuration, which has precedence over
// the locale only.
func (f *flags) inheritLanguage(config sources.Config) error {
	configured := lang.Language(config.Lang)
	switch {
	case configured == "":
		return nil
	case !configured.Known():
		return fmt.Errorf("lang %q is unknown; use en or zh", config.Lang)
	case f.lang == "":
		language = configured
	}
	return nil
}

// askConfiguredLanguage reads the language from the configuration, if that was not read
// before: for help, and for an error about a flag.
func (f *flags) askConfiguredLanguage() {
	if f.lang != "" || f.configured {
		return
	}
	if config, err := sources.LoadConfig(f.config); err == nil {
		_ = f.inheritLanguage(config) // a pull would report it
	}
}
