package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/segpull/segpull/bench/program"
)

// stat runs the Go benchmarks of two commits in turns and lets benchstat
// compare them.
func stat(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stat", flag.ContinueOnError)
	count := flags.Int("count", 6, "runs of each benchmark at each commit")
	pattern := flags.String("bench", ".", "benchmarks to run, as in go test")
	packages := flags.String("packages", "./...", "where to look for them")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() < 1 || flags.NArg() > 2 {
		return usageError{"stat [flags] OLD [NEW]: one or two commits; NEW is HEAD by default"}
	}
	commits := [2]string{flags.Arg(0), "HEAD"}
	if flags.NArg() == 2 {
		commits[1] = flags.Arg(1)
	}
	return inTemp(func(dir string) error {
		var trees, results [2]string
		for i, name := range []string{"old", "new"} {
			trees[i] = filepath.Join(dir, name)
			results[i] = filepath.Join(dir, name+".txt")
			if err := export(ctx, commits[i], trees[i]); err != nil {
				return err
			}
		}
		for n := range *count {
			for i := range trees {
				fmt.Fprintf(os.Stderr, "bench: run %d of %d at %s\n", n+1, *count, commits[i])
				if err := goBench(ctx, trees[i], results[i], *pattern, *packages); err != nil {
					return err
				}
			}
		}
		benchstat := exec.CommandContext(ctx, "go", "tool", "benchstat",
			commits[0]+"="+results[0], commits[1]+"="+results[1])
		benchstat.Stdout, benchstat.Stderr = os.Stdout, os.Stderr
		return benchstat.Run()
	})
}

// export writes the files of a commit to a folder, without touching the
// repository.
func export(ctx context.Context, commit, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	tarball := dir + ".tar"
	if err := program.Run(ctx, "git", "archive", "--output", tarball, commit); err != nil {
		return err
	}
	return program.Run(ctx, "tar", "-x", "-f", tarball, "-C", dir)
}

// goBench appends what the benchmarks of a tree say to a file.
func goBench(ctx context.Context, tree, results, pattern, packages string) error {
	out, err := os.OpenFile(results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	test := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench="+pattern, "-benchmem", packages)
	test.Dir, test.Stdout, test.Stderr = tree, out, os.Stderr
	if err := test.Run(); err != nil {
		return fmt.Errorf("go test -bench in %s: %w", tree, err)
	}
	return nil
}
