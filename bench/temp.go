package main

import (
	"context"
	"os"

	"github.com/segpull/segpull/bench/program"
)

// inTemp calls f with a directory that is removed afterwards.
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
		segpull, err := program.Build(ctx, dir)
		if err != nil {
			return err
		}
		return f(&runner{segpull: segpull, dir: dir})
	})
}
