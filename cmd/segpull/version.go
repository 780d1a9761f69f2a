package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

// version is set by the linker for builds without git: -ldflags "-X main.version=1.2.3".
var version string

// buildVersion returns the version of this binary, the commit and its date, and the
// version of Go: "1.2.3 (commit 0123456789ab, 2026-11-26T08:00:00Z, go1.26.8)". Only
// a build in a git checkout has a commit and a date (go help build, -buildvcs).
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "(devel)")
	}
	return describe(version, info)
}

func describe(version string, info *debug.BuildInfo) string {
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	var details []string
	if commit := settings["vcs.revision"]; commit != "" {
		text := "commit " + commit[:min(len(commit), 12)]
		if settings["vcs.modified"] == "true" {
			text += ", modified"
		}
		details = append(details, text)
	}
	for _, detail := range []string{settings["vcs.time"], info.GoVersion} {
		if detail != "" {
			details = append(details, detail)
		}
	}
	return fmt.Sprintf("%s (%s)", cmp.Or(version, strings.TrimPrefix(info.Main.Version, "v"), "(devel)"), strings.Join(details, ", "))
}
