package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// command is one of the things that bench does. What it tells along the way
// goes to standard error, results to standard output.
type command struct {
	name  string
	about string
	run   func(ctx context.Context, args []string) error
}

// commands in the order in which help lists them. They are set in init since
// help itself reads them.
var commands []command

func init() {
	commands = []command{
		{"compare", "weak networks and mirrors, segpull and its peers side by side; the default", compare},
		{"loopback", "the same without root: throttled and misbehaving mirrors on loopback", compareOnLoopback},
		{"cases", "run networks by name, and tell which goals are met", runCases},
		{"timeline", "draw one pull: who served what, and when", timeline},
		{"figures", "print the numbers that the project promises", figures},
		{"floors", "a pull at full speed against the machine's floors, and a profile of it", floors},
		{"stat", "compare the Go benchmarks of two commits with benchstat", stat},
		{"check", "tell what got slower since the committed baseline", check},
		{"liars", "what it costs that one of two mirrors lies", liars},
		{"soak", "pulls through random faults, kills and damage; each output is checked", soak},
		{"demo", "watch one pull from three mirrors, of which one dies", demo},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(exitCode(err))
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"compare"}
	}
	if slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		help(os.Stdout)
		return nil
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	return usageError{fmt.Sprintf("no command %q; `go run ./bench help` lists them", args[0])}
}

func help(w io.Writer) {
	var b strings.Builder
	b.WriteString("bench shows what segpull is worth.\n\nUsage:\n  go run ./bench COMMAND [flags] [name...]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, b.String())
}

// parse reads a command's flags. What is wrong with them is a usageError.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return usageError{err.Error()}
	}
	return err
}

// usageError is a mistake on the command line.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return 2
	case errors.Is(err, context.Canceled):
		return 130
	default:
		return 1
	}
}
