package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds segpull in a directory without symbols, as it is released, and
// returns the path of the program. If the variable SEGPULL names a program,
// Build returns that one.
func Build(ctx context.Context, dir string) (path string, err error) {
	if path := os.Getenv("SEGPULL"); path != "" {
		return exec.LookPath(path)
	}
	path = filepath.Join(dir, "segpull")
	// Unlike go build, go run keeps the linked program in Go's cache: the next call only copies it.
	build := exec.CommandContext(ctx, "go", "run", "-trimpath", "-ldflags=-s -w", "-exec", "cp",
		"github.com/segpull/segpull/cmd/segpull", path)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build segpull (run bench inside the repository): %w\n%s", err, out)
	}
	return path, nil
}

// Run runs a short command to its end. The error includes its output.
func Run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), errors.Join(err, errors.New(string(bytes.TrimSpace(out)))))
	}
	return nil
}

// Environment is this process's environment with another home directory, so
// that a program reads none of the user's own settings.
func Environment(home string) []string {
	return append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
}
