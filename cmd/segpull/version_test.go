package main

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionSaysWhatItWasBuiltFrom(t *testing.T) {
	checkout := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
		{Key: "vcs.time", Value: "2026-11-26T08:00:00Z"},
	}
	for _, test := range []struct {
		about, version string
		info           debug.BuildInfo
		want           string
	}{
		{"a release", "1.2.3", debug.BuildInfo{GoVersion: "go1.26.8", Settings: checkout}, "1.2.3 (commit 0123456789ab, 2026-11-26T08:00:00Z, go1.26.8)"},
		{"a module by go install", "", debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}}, "1.2.3 (go1.26.8)"},
		{
			"a checkout with changes", "",
			debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}, Settings: append(checkout, debug.BuildSetting{Key: "vcs.modified", Value: "true"})},
			"(devel) (commit 0123456789ab, modified, 2026-11-26T08:00:00Z, go1.26.8)",
		},
	} {
		if got := describe(test.version, &test.info); got != test.want {
			t.Errorf("%s: got %s, want %s", test.about, got, test.want)
		}
	}
}
