package realtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// home is a user's: a directory to work in, and another for settings.
type home struct {
	dir      string
	settings string
	env      []string
}

func newHome(t *testing.T) home {
	t.Helper()
	h := home{dir: t.TempDir(), settings: t.TempDir()}
	h.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + h.settings,
		"DOCKER_CONFIG=" + h.settings,
	}
	return h
}

func (h home) path(name string) string { return filepath.Join(h.dir, name) }

// command is segpull, ready to start in the directory.
func (h home) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env = h.dir, h.env
	return cmd
}

// result has the exit code and the output of a run of segpull.
type result struct {
	code           int
	stdout, stderr string
}

// run runs segpull, which may fail.
func (h home) run(t *testing.T, args ...string) result {
	t.Helper()
	cmd := h.command(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(programTimeout, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// pull is run for a pull that must succeed.
func (h home) pull(t *testing.T, args ...string) result {
	t.Helper()
	r := h.run(t, args...)
	if r.code != 0 {
		t.Fatalf("segpull %s ended with code %d:\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r
}
