package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segpull/segpull"
)

const (
	exitDone        = 0
	exitOther       = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// usageError is a command line or a configuration that cannot be run.
type usageError struct{ message string }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func (e *usageError) Error() string { return e.message }

func (e *usageError) ExitCode() int { return exitUsage }

// exit tells an error, in one line, and returns the code it ends the process with.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	message, code := explain(err)
	if a.progress == "json" {
		newJSONView(a.stderr).fail(time.Now(), message, code)
		return code
	}
	fmt.Fprintf(a.stderr, "%s %s\n", paint(isTerminal(a.stderr) && colours(), red, "segpull:"), message)
	return code
}

// explain returns an error's words and its exit code.
func explain(err error) (string, int) {
	if errors.Is(err, context.Canceled) {
		return "interrupted; run the same command again to go on", exitInterrupted
	}
	if coded, ok := errors.AsType[segpull.ExitError](err); ok {
		return oneLine(err.Error()), coded.ExitCode()
	}
	return oneLine(err.Error()), exitOther
}
