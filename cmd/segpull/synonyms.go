package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Words of other tools: values of flags that segpull takes for its own, and flags for
// which the error says what to use.

var (
	progressSynonyms = map[string]string{"tty": "bar", "rawjson": "json", "quiet": "none"} // BuildKit's
	formatSynonyms   = map[string]string{"tarball": "docker-archive"}                      // crane's
)

// word is the value of a flag that has synonyms.
type word struct {
	value    *string
	synonyms map[string]string
}

func newWord(value *string, initial string, synonyms map[string]string) word {
	*value = initial
	return word{value, synonyms}
}

func (w word) String() string {
	if w.value == nil { // pflag asks a zero value, too
		return ""
	}
	return *w.value
}

func (w word) Set(s string) error {
	*w.value = cmp.Or(w.synonyms[s], s)
	return nil
}

func (w word) Type() string { return "string" }

// hint says what to use in place of a flag of another tool: a flag of ours, which the
// command must have, and how.
type hint struct{ flag, text string }

var (
	noTLS    = hint{"mirror", "set tls-verify = false in the mirror's table of the configuration, or write http:// in its URL"}
	noVerify = hint{"mirror", "set tls-verify = false in the mirror's table of the configuration"}
	retries  = hint{"give-up-after", "segpull tries again by itself; --give-up-after TIME says for how long"}
	login    = hint{"authfile", "use docker login or podman login, or give a file with --authfile"}
	verbose  = hint{"verbose", "use -v or -q"}
	platform = hint{"platform", "use --platform OS/ARCH[/VARIANT]"}
)

// hints are for flags of docker, podman, skopeo, crane, regctl and oras.
var hints = map[string]hint{
	"insecure":        noTLS,
	"plain-http":      noTLS,
	"tls-verify":      noVerify,
	"src-tls-verify":  noVerify,
	"dest-tls-verify": noVerify,
	"retry":           retries,
	"retry-times":     retries,
	"creds":           login,
	"src-creds":       login,
	"dest-creds":      login,
	"src-authfile":    login,
	"dest-authfile":   login,
	"username":        login,
	"password":        login,
	"password-stdin":  login,
	"registry-config": login,
	"arch":            platform,
	"os":              platform,
	"variant":         platform,
	"override-arch":   platform,
	"override-os":     platform,
	"multi-arch":      {"all-platforms", "use --all-platforms"},
	"log-level":       verbose,
	"debug":           verbose,
	"dest":            {"output", "use -o PATH, or --to REGISTRY/NAME to push"},
}

// unknown explains an unknown flag. It prints no value, which may be a password: -pSECRET.
func unknown(set *pflag.FlagSet, err *pflag.NotExistError) error {
	name := err.GetSpecifiedName()
	if err.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("unknown flag: -%s", name)
	}
	if h, ok := hints[name]; ok && set.Lookup(h.flag) != nil {
		return fmt.Errorf("--%s is not a flag of segpull: %s", name, h.text)
	}
	if near := nearest(set, name); near != "" {
		return fmt.Errorf("unknown flag: --%s; did you mean --%s?", name, near)
	}
	return fmt.Errorf("unknown flag: --%s", name)
}

// nearest returns the flag that name most probably is, or "".
func nearest(set *pflag.FlagSet, name string) string {
	best, least := "", 3 // letters that are wrong
	set.VisitAll(func(f *pflag.Flag) {
		d := distance(name, f.Name)
		if strings.HasPrefix(f.Name, name) && len(name) > 2 {
			d = 1
		}
		if d < least && 2*d < len(f.Name) {
			best, least = f.Name, d
		}
	})
	return best
}

// distance is the number of letters to insert, to remove or to replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := corner
			if a[i] != b[j] {
				replaced++
			}
			corner = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, replaced)
		}
	}
	return row[len(b)]
}
