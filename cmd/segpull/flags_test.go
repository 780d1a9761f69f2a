package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// parse reads a command line against a configuration file.
func parse(t *testing.T, config string, args ...string) (*flags, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f, set := &flags{}, pflag.NewFlagSet("segpull", pflag.ContinueOnError)
	f.define(set)
	if err := set.Parse(append([]string{"--config", path}, args...)); err != nil {
		t.Fatal(err)
	}
	_, err := f.inherit()
	return f, err
}

func TestFlagBeatsConfigBeatsDefault(t *testing.T) {
	const config = `
output = "from-config"
format = "oci"
platform = "linux/arm64"
limit-rate = "1M"
connections = 3
segment-size = "2MiB"
no-race = true
progress = "json"
`
	get := func(f *flags) string {
		return strings.Join([]string{
			f.output, f.format, f.platform, f.limitRate.String(),
			f.set.Lookup("connections").Value.String(), f.segmentSize.String(), strconv.FormatBool(f.noRace), f.progress,
		}, " ")
	}
	for name, c := range map[string]struct {
		config string
		args   []string
		want   string
	}{
		"default": {"", nil, "   unlimited 0 0 false auto"},
		"config":  {config, nil, "from-config oci linux/arm64 1MiB/s 3 2MiB true json"},
		"flags": {
			config,
			strings.Fields("-o out -f legacy --platform linux/386 --limit-rate 2M --connections 5 --segment-size 8M --no-race=false --progress none"),
			"out legacy linux/386 2MiB/s 5 8MiB false none",
		},
		"flags set back to nothing": {config, []string{"-o", "", "--limit-rate", "0"}, " oci linux/arm64 unlimited 3 2MiB true json"},
	} {
		f, err := parse(t, c.config, c.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := get(f); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}

// Each flag that only serve has is a key of [serve], which the flag overrides.
func TestServeFlagBeatsConfigBeatsDefault(t *testing.T) {
	const config = `
[serve]
listen = ["127.0.0.1:1"]
tag-ttl = "0"
offline = true
verified-only = true
metrics = "127.0.0.1:2"
host = ["a", "b"]
log-format = "json"
tls-cert = "/cert"
tls-key = "/key"
client-ca = "/ca"
token-file = "/tokens"
`
	shared, set := pflag.NewFlagSet("pull", pflag.ContinueOnError), pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(flags).define(shared)
	new(flags).defineServe(set, new(serveFlags))
	set.VisitAll(func(flag *pflag.Flag) {
		if shared.Lookup(flag.Name) == nil && flag.Name != "print-config" && !strings.Contains(config, "\n"+flag.Name+" = ") {
			t.Errorf("[serve] has no key for --%s", flag.Name)
		}
	})
	for name, c := range map[string]struct{ config, args, want string }{
		"default": {"", "", "[127.0.0.1:5050] 1m0s false false [] text { }"},
		"config":  {config, "", "[127.0.0.1:1] 0s true true 127.0.0.1:2 [a b] json {/cert /key /ca /tokens}"},
		"flags": {
			config, "--listen :3 --tag-ttl 5s --offline=false --verified-only=false --metrics :4 --host c --log-format text --tls-cert c --tls-key k --client-ca a --token-file t",
			"[:3] 5s false false :4 [c] text {c k a t}",
		},
	} {
		f, own := &flags{}, &serveFlags{}
		f.set = pflag.NewFlagSet("serve", pflag.ContinueOnError)
		f.defineServe(f.set, own)
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.set.Parse(append(strings.Fields(c.args), "--config", path)); err != nil {
			t.Fatal(err)
		}
		f.progress = "none"
		loaded, err := f.inherit()
		own.inherit(f.set, loaded.Serve)
		got := strings.Join(strings.Fields(fmt.Sprintln(own.addresses(), own.tagTTL, own.offline, own.verifiedOnly, own.metrics, own.hosts, own.logFormat, own.files)), " ")
		if err != nil || got != c.want {
			t.Errorf("%s: %s, want %s, %v", name, got, c.want, err)
		}
	}
}

func TestQuietAndVerbose(t *testing.T) {
	for _, c := range []struct {
		config, args   string
		quiet, verbose bool
	}{
		{"quiet = true", "", true, false},
		{"quiet = true", "-v", false, true},
		{"quiet = true", "--quiet=false", false, false},
		{"verbose = true", "-q", true, false},
	} {
		f, err := parse(t, c.config, strings.Fields(c.args)...)
		if err != nil || f.quiet != c.quiet || f.verbose != c.verbose {
			t.Errorf("%s, %s: quiet %v, verbose %v, %v", c.config, c.args, f.quiet, f.verbose, err)
		}
	}
	if _, err := parse(t, "quiet = true\nverbose = true"); err == nil {
		t.Error("quiet and verbose together were taken")
	}
}

func TestTinyLimitsAreDoubted(t *testing.T) {
	for _, c := range []struct{ config, args, want string }{
		{"", "--limit-rate 1.5", "limit-rate is 2 bytes a second; if you forgot the unit, write for example 500K or 2M"},
		{"", "--limit-rate 2M@08:00-18:00,1023", "limit-rate is 1023 bytes a second"},
		{"limit-rate = 8", "", "limit-rate is 8 bytes a second"},
		{"[mirror.office]\nlimit-rate = 2", "", "mirror.office.limit-rate is 2 bytes a second"},
		{"limit-rate = 8", "--limit-rate 1K", ""},
		{"[mirror.office]\nlimit-rate = 'unlimited'", "--limit-rate 0", ""},
	} {
		f, err := parse(t, c.config, strings.Fields(c.args)...)
		if got := strings.Join(f.doubts, "\n"); err != nil || !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s, %s: warned %q, %v; want %q", c.config, c.args, got, err, c.want)
		}
	}
}

func TestHelpNamesEveryFlagIn80Columns(t *testing.T) {
	for text, define := range map[string]func(*pflag.FlagSet){
		help:        new(flags).define,
		serveHelp:   func(set *pflag.FlagSet) { new(flags).defineServe(set, new(serveFlags)) },
		inspectHelp: new(app).defineInspect,
		cacheHelp: func(set *pflag.FlagSet) {
			for _, cmd := range new(app).cacheCommand().Commands() {
				set.AddFlagSet(cmd.Flags())
			}
		},
		mirrorsHelp: func(set *pflag.FlagSet) {
			for _, cmd := range append(new(app).mirrorsCommand().Commands(), new(app).mirrorsCommand()) {
				set.AddFlagSet(cmd.Flags())
			}
		},
	} {
		set := pflag.NewFlagSet("segpull", pflag.ContinueOnError)
		define(set)
		set.VisitAll(func(flag *pflag.Flag) {
			want := "      --" + flag.Name
			if flag.Shorthand != "" {
				want = "  -" + flag.Shorthand + ", --" + flag.Name
			}
			if !strings.Contains(text, "\n"+want+" ") && !strings.Contains(text, "\n"+want+"[") && !strings.Contains(text, "\n"+want+"\n") {
				t.Errorf("the help has no line for %q", want)
			}
		})
	}
	for line := range strings.Lines(help + cacheHelp + completionHelp + inspectHelp + serveHelp + mirrorsHelp) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
