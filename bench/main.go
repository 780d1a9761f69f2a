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

// command is one of bench's commands. It writes its results to standard output
// and everything else to standard error.
type command struct {
	name  string
	about string
	run   func(ctx context.Context, args []string) error
}

// commands in the order in which the help lists them.
var commands = []command{
	{"demo", "show one pull from three mirrors, of which one stops, or with -serve a local registry before them", showDemo},
	{"cases", "pull on simulated networks, by segpull and other tools, against goals and lower bounds", runCases},
	{"limits", "measure the promises of the project, beside what the machine allows", measureLimits},
	{"serve", "measure segpull serve beside docker-registry and nginx", measureServe},
	{"fleet", "measure and simulate many nodes that pull through several servers behind nginx", runFleet},
	{"corrupt", "measure the cost of a corrupt mirror", measureCorrupt},
	{"check", "compare the speed with the committed baseline", checkBaseline},
	{"soak", "pull through random faults, kills and damage, and check each result", runSoak},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(exitCode(err))
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		help(stdout)
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
	b.WriteString("bench measures segpull.\n\nUsage:\n  go run ./bench COMMAND [flags] [name...]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.about)
	}
	b.WriteString("\n`go run ./bench COMMAND -h` lists its flags.\n")
	fmt.Fprint(w, b.String())
}

// parse reads a command's flags. An error in them is a usageError.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return usageError{err.Error()}
	}
	return err
}

// parseOnly is parse for a command that takes no names.
func parseOnly(flags *flag.FlagSet, args []string) error {
	err := parse(flags, args)
	if err == nil && flags.NArg() > 0 {
		return usageError{flags.Name() + " takes only flags"}
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
