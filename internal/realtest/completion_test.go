package realtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
)

// completers are scripts for shells that complete the command line in $LINE, which is segpull
// with words, and print what the shell offers.
var completers = map[string]string{
	"bash": `
. /usr/share/bash-completion/bash_completion
eval "$(segpull completion bash)"
COMP_WORDS=() COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=63 COMP_KEY=9
# Readline also splits at = and :.
for word in $(sed 's/[=:]/ & /g' <<<"$LINE"); do COMP_WORDS+=("$word"); done
case $LINE in *[[:space:]=]) COMP_WORDS+=("") ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p segpull | sed 's/.*-F \([^ ]*\) .*/\1/')
printf '%s\n' "${COMPREPLY[@]}"`,
	"fish": `
segpull completion fish | source
complete -C "$LINE"`,
	// A terminal of its own, in which zsh lists what it offers at the second tab.
	"zsh": `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= RPS1= PROMPT_EOL_MARK=; stty columns 200 rows 200; autoload -Uz compinit; compinit -D -u; source <(segpull completion zsh); LISTMAX=999; setopt NO_beep; print SET UP'
while zpty -r shell text && [[ $text != *"SET UP"* || $text == *print* ]]; do :; done
zpty -w -n shell "$LINE"$'\t\t'
zpty -w -n shell $'\C-a\C-k'"print THE END"$'\n'
while zpty -r shell text && [[ $text != "THE END"* ]]; do print -r -- "$text"; done
zpty -d shell`,
}

// Real shells offer the values of flags, the names of commands, and mirrors of the
// configuration, without a request.
func TestShellsComplete(t *testing.T) {
	for shell, script := range completers {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			needs.Programs(t, shell)
			if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); shell == "bash" && err != nil {
				needs.Lack(t, "bash-completion is not installed")
			}
			dir := tempDir(t)
			if err := os.Mkdir(filepath.Join(dir, "segpull"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "segpull"), "config.toml", "[mirror.nearby]", `url = "http://127.0.0.1:1"`)
			for line, want := range map[string]string{
				"segpull -m ":                           "daocloud nearby",
				"segpull --format oci":                  "oci oci-archive",
				"segpull --load=":                       "podman containerd",
				"segpull --progr":                       "--progress",
				"segpull serve --print-config ":         "k3s buildkit",
				"segpull cache ":                        "export prune",
				"segpull completion ":                   "fish powershell",
				"segpull serve --offline --log-format ": "json text",
			} {
				out := run(t, "env", "-i", "HOME="+dir, "XDG_CONFIG_HOME="+dir, "TERM=dumb", "LINE="+line,
					"PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), shell, "-c", script)
				for _, word := range strings.Fields(want) {
					if !strings.Contains(out, word) {
						t.Errorf("%q: %s is missing in\n%s", line, word, out)
					}
				}
				if strings.Contains(out, "_test.go") {
					t.Errorf("%q: %s offers files:\n%s", line, shell, out)
				}
			}
		})
	}
}
