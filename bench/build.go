package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// buildSegpull builds the command in a folder, as it is released: without
// symbols. bench may not import the command, and what users run is what is
// measured. The variable SEGPULL names a program to measure instead.
func buildSegpull(ctx context.Context, dir string) (path string, err error) {
	if path := os.Getenv("SEGPULL"); path != "" {
		return exec.LookPath(path)
	}
	path = filepath.Join(dir, "segpull")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path,
		"github.com/segpull/segpull/cmd/segpull")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build segpull (run bench inside the repository): %w\n%s", err, out)
	}
	return path, nil
}

// inTemp calls f with a folder that is gone afterwards.
func inTemp(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "segpull-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return f(dir)
}

// withRunner calls f with a runner of the segpull built here.
func withRunner(ctx context.Context, f func(r *runner) error) error {
	return inTemp(func(dir string) error {
		segpull, err := buildSegpull(ctx, dir)
		if err != nil {
			return err
		}
		return f(&runner{segpull: segpull, dir: dir})
	})
}
