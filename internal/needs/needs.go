// Package needs ends tests that this machine cannot run: they skip, but not in CI, where
// they fail, so that what .ci/run installs is used.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Programs ends the test where a program is not installed.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Lack(t, name+" is not installed")
		}
	}
}

// Extra ends the test where a program is not installed that takes too long to build for CI:
// there it skips too. target is what make has to build it and to run the test.
func Extra(t testing.TB, name, target string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(name + " is not installed; make " + target + " builds it and runs this test")
	}
}

// Lack ends the test. what says what the machine lacks.
func Lack(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what + ", and CI may not skip this test")
	}
	t.Skip(what + "; .ci/run shows how")
}
