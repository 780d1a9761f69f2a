// Package realtest tests the segpull binary with real programs: it pulls from
// docker-registry, is killed during pulls, and docker, podman, skopeo and umoci read its
// archives, and engines pull through its server.
//
// Everything runs on loopback and in directories of its own, and is stopped when
// its test ends. A test whose programs are not installed is skipped; where CI
// is set, it fails.
package realtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the path of segpull, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Setenv("LC_ALL", "C") // tests want English, whoever runs them
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "segpull-real-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "segpull")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/segpull").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build segpull: %w\n%s", err, out)
	}
	return m.Run(), nil
}
