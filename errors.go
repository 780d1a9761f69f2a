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

// Classes of the errors of Pull, for errors.Is. An error has at most one class;
// errors of the disk, of Options.Stdout and of the context have none.
var (
	// ErrUsage: a reference, a mirror or an option is invalid.
	ErrUsage = errors.New("usage")
	// ErrNotFound: no source has such an image, or not for the platform.
	ErrNotFound = errors.New("not found")
	// ErrCredentials: no source serves the image, and at least one of them
	// refuses to without other credentials.
	ErrCredentials = errors.New("credentials")
	// ErrMismatch: the sources served bytes that do not have the digest or the
	// size that the manifest names.
	ErrMismatch = errors.New("mismatch")
	// ErrNetwork: the network or a server failed. The same call continues from
	// what is on disk, and may succeed later.
	ErrNetwork = errors.New("network")
	// ErrPermanent: the same call would fail in the same way. The message says
	// what to change.
	ErrPermanent = errors.New("permanent")
)

// classified is an error with its class.
type classified struct {
	error
	class error
}

func (e *classified) Is(target error) bool { return target == e.class }
func (e *classified) Unwrap() error        { return e.error }

func usage(err error) error { return &classified{err, ErrUsage} }

// classify gives err its class, if it has one.
func classify(err error) error {
	if class := classOf(err); class != nil {
		return &classified{err, class}
	}
	return err
}

// advise adds to the error of an image's pull what to do about it.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w; make room and run the same command again: segpull keeps what it fetched", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w; allow more open files (ulimit -n) and run the same command again: segpull keeps what it fetched", err)
	case classOf(err) == ErrNetwork:
		return fmt.Errorf("%w; run the same command again to continue: segpull keeps what it fetched", err)
	case classOf(err) == ErrMismatch:
		return fmt.Errorf("%w; give another mirror with --mirror", err)
	}
	return err
}

// classOf is nil for an error that has no class.
func classOf(err error) error {
	var (
		known      *classified
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
		return known.class
	case errors.As(err, &badName):
		return ErrUsage
	case errors.As(err, &mismatch):
		return ErrMismatch
	case errors.As(err, &noPlatform):
		return ErrNotFound
	case errors.As(err, &gaveUp):
		return ErrNetwork
	case errors.As(err, &hopeless):
		return classOfReasons(hopeless.Reasons)
	case errors.As(err, &fetch):
		return classOfReasons([]error{fetch})
	case errors.As(err, &permanent) && permanent.Permanent():
		return ErrPermanent
	}
	return nil
}

// classOfReasons is the class where all sources failed for these reasons. What
// may pass counts most. Else one that would serve those with credentials is the
// user's best hope.
func classOfReasons(reasons []error) error {
	if len(reasons) == 0 {
		return ErrNetwork
	}
	worst := ErrNotFound
	for _, err := range reasons {
		switch class := classOfReason(err); {
		case class == ErrNetwork:
			return ErrNetwork
		case worst == ErrNotFound, class == ErrCredentials:
			worst = class
		case class == ErrMismatch && worst == ErrPermanent:
			worst = class
		}
	}
	return worst
}

// classOfReason is the class of the failure of one source.
func classOfReason(err error) error {
	var (
		refused   interface{ Refused() bool }
		mismatch  interface{ Mismatch() bool }
		missing   interface{ Missing() bool }
		permanent interface{ Permanent() bool }
	)
	switch {
	case errors.As(err, &refused) && refused.Refused():
		return ErrCredentials
	case errors.As(err, &mismatch) && mismatch.Mismatch():
		return ErrMismatch
	case errors.As(err, &missing) && missing.Missing():
		return ErrNotFound
	case errors.As(err, &permanent) && permanent.Permanent():
		return ErrPermanent
	}
	return ErrNetwork
}

// notFound reports whether the sources have no image of this name, rather than none for
// the platform: that error says itself what to do.
func notFound(err error) bool {
	_, platform := errors.AsType[*image.PlatformError](err)
	return classOf(err) == ErrNotFound && !platform
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
