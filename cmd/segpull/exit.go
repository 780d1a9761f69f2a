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
	exitInterrupted = 130 // 128 + SIGINT, as in shells
)

// exitCodes has the exit codes of the classes of errors; any other error is exitOther.
var exitCodes = map[error]int{
	segpull.ErrUsage:       exitUsage,
	segpull.ErrNotFound:    3,
	segpull.ErrCredentials: 4,
	segpull.ErrMismatch:    5,
	segpull.ErrNetwork:     6,
	segpull.ErrPermanent:   7,
}

// usageError is the error of an invalid command line or configuration.
type usageError struct{ message string }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func (e *usageError) Error() string { return e.message }

// Is gives it the class segpull.ErrUsage.
func (e *usageError) Is(target error) bool { return target == segpull.ErrUsage }

// exit prints an error, in one line, and returns the exit code of the process.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	a.askConfiguredLanguage()
	message, code := explain(err)
	if a.progress == "json" {
		jsonView{a.stderr}.fail(time.Now(), message, code)
		return code
	}
	fmt.Fprintf(a.stderr, "%s %s\n", paint(isTerminal(a.stderr) && colours(), red, "segpull:"), language.Text(message))
	return code
}

// explain returns the message of an error and its exit code.
func explain(err error) (string, int) {
	if errors.Is(err, context.Canceled) {
		return "interrupted; run the same command again to continue", exitInterrupted
	}
	for class, code := range exitCodes {
		if errors.Is(err, class) {
			return oneLine(err.Error()), code
		}
	}
	return oneLine(err.Error()), exitOther
}
