package segpull

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/verify"
)

// Exit codes for the errors of Pull; any other error is 1.
const (
	ExitUsage       = 2 // a reference, mirror or option that makes no sense
	ExitNotFound    = 3 // no such image, or none for the platform
	ExitCredentials = 4 // every source refuses to serve us
	ExitMismatch    = 5 // the bytes are not those that the digest names, or of another number
	ExitNetwork     = 6 // the network gave out; the same call goes on
	ExitPermanent   = 7 // the same call would fail in the same way: something has to be changed first
)

// ExitError is an error that has an exit code of its own. Find it by
// errors.As.
type ExitError interface {
	error
	ExitCode() int
}

type coded struct {
	error
	code int
}

func (e *coded) ExitCode() int { return e.code }
func (e *coded) Unwrap() error { return e.error }

func usage(err error) error { return &coded{err, ExitUsage} }

// classify gives err the exit code that it deserves.
func classify(err error) error {
	if _, done := errors.AsType[ExitError](err); done {
		return err
	}
	if code := exitCode(err); code != 0 {
		return &coded{err, code}
	}
	return err
}

// advise adds to the error of an image's pull what to do about it.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w; make room and run the same command again: what has arrived is kept", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w; allow more open files (ulimit -n) and run the same command again: what has arrived is kept", err)
	case exitCode(err) == ExitNetwork:
		return fmt.Errorf("%w; run the same command again to go on: what has arrived is kept", err)
	case exitCode(err) == ExitMismatch:
		return fmt.Errorf("%w; name another mirror by --mirror", err)
	}
	return err
}

// exitCode is 0 for an error that has none of its own.
func exitCode(err error) int {
	var (
		known      ExitError
		badName    *sources.UsageError
		mismatch   *verify.MismatchError
		noPlatform *image.PlatformError
		gaveUp     *segment.GiveUpError
		hopeless   *segment.HopelessError
		fetch      *sources.FetchError
		permanent  interface{ Permanent() bool }
	)
	switch {
	case errors.As(err, &known):
		return known.ExitCode()
	case errors.As(err, &badName):
		return ExitUsage
	case errors.As(err, &mismatch):
		return ExitMismatch
	case errors.As(err, &noPlatform):
		return ExitNotFound
	case errors.As(err, &gaveUp):
		return ExitNetwork
	case errors.As(err, &hopeless):
		return reasonCode(hopeless.Reasons)
	case errors.As(err, &fetch):
		return reasonCode([]error{fetch})
	case errors.As(err, &permanent) && permanent.Permanent():
		return ExitPermanent
	}
	return 0
}

// reasonCode is the exit code where all sources failed for these reasons. What
// may pass counts most. Else one that would serve those with credentials is the
// user's best hope.
func reasonCode(reasons []error) int {
	if len(reasons) == 0 {
		return ExitNetwork
	}
	worst := ExitNotFound
	for _, err := range reasons {
		switch code := oneReason(err); {
		case code == ExitNetwork:
			return ExitNetwork
		case worst == ExitNotFound, code == ExitCredentials:
			worst = code
		case code == ExitMismatch && worst == ExitPermanent:
			worst = code
		}
	}
	return worst
}

// oneReason is the exit code for the failure of one source.
func oneReason(err error) int {
	var (
		refused   interface{ Refused() bool }
		mismatch  interface{ Mismatch() bool }
		missing   interface{ Missing() bool }
		permanent interface{ Permanent() bool }
	)
	switch {
	case errors.As(err, &refused) && refused.Refused():
		return ExitCredentials
	case errors.As(err, &mismatch) && mismatch.Mismatch():
		return ExitMismatch
	case errors.As(err, &missing) && missing.Missing():
		return ExitNotFound
	case errors.As(err, &permanent) && permanent.Permanent():
		return ExitPermanent
	}
	return ExitNetwork
}

// unreachable reports whether a source that err is about did not answer at all.
func unreachable(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(several.Unwrap(), unreachable)
	}
	if answered, ok := err.(interface{ Unreachable() bool }); ok {
		return answered.Unreachable()
	}
	if inner := errors.Unwrap(err); inner != nil {
		return unreachable(inner)
	}
	return true
}
