package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/segpull/segpull/bench/corrupt"
	"github.com/segpull/segpull/bench/demo"
	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/limits"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/serve"
)

// inTemp calls f with a temporary directory and the path of a fresh segpull.
func inTemp(ctx context.Context, f func(dir, segpull string) error) error {
	dir, err := os.MkdirTemp("", "segpull-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	segpull, err := program.Build(ctx, dir)
	if err != nil {
		return err
	}
	return f(dir, segpull)
}

// withLab calls f with a lab for a fresh segpull.
func withLab(ctx context.Context, f func(l *lab.Lab) error) error {
	return inTemp(ctx, func(dir, segpull string) error {
		return f(&lab.Lab{Segpull: segpull, Dir: dir, Log: os.Stderr})
	})
}

func showDemo(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	server := flags.Bool("serve", false, "show segpull serve instead, and a client that pulls through it; default: a pull into an archive")
	if err := parseOnly(flags, args); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Building segpull and an image of 80 MiB …")
	return inTemp(ctx, func(dir, segpull string) error {
		if *server {
			return demo.RunServer(ctx, segpull, dir)
		}
		return demo.Run(ctx, segpull, dir)
	})
}

func measureLimits(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("limits", flag.ContinueOnError)
	runs := flags.Int("runs", 3, "runs of each; medians are shown")
	profile := flags.String("profile", "", "instead write a CPU profile of one local pull to this file, and print where the time went")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := limits.Check(flags.Args()...); err != nil {
		return usageError{err.Error()}
	}
	return withLab(ctx, func(l *lab.Lab) error {
		if *profile != "" {
			return printProfile(ctx, l, *profile)
		}
		return limits.Measure(ctx, os.Stdout, l, *runs, flags.Args()...)
	})
}

func measureServe(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	runs := flags.Int("runs", 3, "runs of each; medians are shown, with the least and the greatest")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "go run ./bench serve [flags] [goal...]\n\nGoals: %s; default: all. docker needs root.\n\nFlags:\n", strings.Join(serve.Names(), ", "))
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := serve.Check(flags.Args()...); err != nil {
		return usageError{err.Error()}
	}
	if *runs < 1 {
		return usageError{"-runs is at least 1"}
	}
	return withLab(ctx, func(l *lab.Lab) error { return serve.Measure(ctx, os.Stdout, l, *runs, flags.Args()...) })
}

func printProfile(ctx context.Context, l *lab.Lab, path string) error {
	local, err := lab.Cases(lab.Local)
	if err != nil {
		return err
	}
	if err := l.Profile(ctx, local[0], path); err != nil {
		return err
	}
	top := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=25", path)
	top.Stdout, top.Stderr = os.Stdout, os.Stderr
	return top.Run()
}

func measureCorrupt(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("corrupt", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return err
	}
	kinds, err := corrupt.Kinds(flags.Args()...)
	if err != nil {
		return usageError{err.Error()}
	}
	return withLab(ctx, func(l *lab.Lab) error { return corrupt.WriteTable(ctx, os.Stdout, l, kinds) })
}
