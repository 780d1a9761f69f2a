package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestWordsOfOtherTools(t *testing.T) {
	for _, c := range []struct{ config, args, progress, format string }{
		{"", "", "auto", ""},
		{"", "--progress tty -f tarball", "bar", "docker-archive"},
		{"", "--progress rawjson", "json", ""},
		{"", "--progress=quiet", "none", ""},
		{"progress = 'tty'\nformat = 'tarball'", "", "bar", "docker-archive"},
		{"progress = 'tty'\nformat = 'tarball'", "--progress plain -f oci", "plain", "oci"},
	} {
		f, err := parse(t, c.config, strings.Fields(c.args)...)
		if err != nil || f.progress != c.progress || f.format != c.format {
			t.Errorf("%q, %s: progress %s, format %s, %v", c.config, c.args, f.progress, f.format, err)
		}
	}
}

func TestNearestFlag(t *testing.T) {
	set := pflag.NewFlagSet("segpull", pflag.ContinueOnError)
	new(flags).define(set)
	for name, want := range map[string]string{
		"outputt": "output", "plattform": "platform", "mirrors": "mirror", "no-races": "no-race", "limit-rates": "limit-rate",
		"conn": "connections", "cachedir": "cache-dir", "segment": "segment-size",
		"nema": "", "zzz": "", "no": "", "debug": "",
	} {
		if got := nearest(set, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Each hint names a flag that segpull has, or the configuration, and stands for a flag
// that it does not have.
func TestHintsAreOfFlagsThatExist(t *testing.T) {
	set := pflag.NewFlagSet("segpull", pflag.ContinueOnError)
	new(flags).define(set)
	for name, h := range hints {
		if set.Lookup(name) != nil || set.Lookup(h.flag) == nil {
			t.Errorf("--%s: %+v", name, h)
		}
	}
}
