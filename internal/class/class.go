// Package class sorts errors into the classes of package segpull, which are described
// there. The packages that return the errors know no classes: their errors have types, or
// methods such as Missing and Refused.
package class

import (
	"errors"
	"slices"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/verify"
)

// The classes.
var (
	ErrUsage       = errors.New("usage")
	ErrNotFound    = errors.New("not found")
	ErrCredentials = errors.New("credentials")
	ErrMismatch    = errors.New("mismatch")
	ErrNetwork     = errors.New("network")
	ErrPermanent   = errors.New("permanent")
)

// classified is an error with its class.
type classified struct {
	error
	class error
}

func (e *classified) Is(target error) bool { return target == e.class }
func (e *classified) Unwrap() error        { return e.error }

// Mark returns err with a class.
func Mark(err, class error) error { return &classified{err, class} }

// MarkKnown returns err with its class, if it has one.
func MarkKnown(err error) error {
	if class := Of(err); class != nil {
		return Mark(err, class)
	}
	return err
}

// Of returns the class of an error; nil for one that has none.
func Of(err error) error {
	var (
		known      *classified
		usage      interface{ Usage() bool }
		mismatch   *verify.MismatchError
		noPlatform *image.PlatformError
		gaveUp     *segment.GiveUpError
		hopeless   *segment.HopelessError
		fetch      *sources.FetchError
		other      interface{ Mismatch() bool }
		permanent  interface{ Permanent() bool }
	)
	switch {
	case errors.As(err, &known):
		return known.class
	case errors.As(err, &usage) && usage.Usage():
		return ErrUsage
	case errors.As(err, &mismatch):
		return ErrMismatch
	case errors.As(err, &noPlatform):
		return ErrNotFound
	case errors.As(err, &gaveUp):
		return ErrNetwork
	case errors.As(err, &hopeless):
		return OfReasons(hopeless.Reasons)
	case errors.As(err, &fetch):
		return OfReasons([]error{fetch})
	case errors.As(err, &other) && other.Mismatch():
		return ErrMismatch
	case errors.As(err, &permanent) && permanent.Permanent():
		return ErrPermanent
	}
	return nil
}

// OfReasons returns the class where all sources failed for these reasons. What
// may pass counts most. Else one that would serve those with credentials is the
// user's best hope.
func OfReasons(reasons []error) error {
	if len(reasons) == 0 {
		return ErrNetwork
	}
	worst := ErrNotFound
	for _, err := range reasons {
		switch class := OfReason(err); {
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

// OfReason returns the class of the failure of one source.
func OfReason(err error) error {
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

// IsNotFound reports whether the sources have no image of this name, rather than none for
// the platform: that error says itself what to do.
func IsNotFound(err error) bool {
	_, platform := errors.AsType[*image.PlatformError](err)
	return Of(err) == ErrNotFound && !platform
}

// Unreachable reports whether a source that err is about did not answer at all.
func Unreachable(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(several.Unwrap(), Unreachable)
	}
	if answered, ok := err.(interface{ Unreachable() bool }); ok {
		return answered.Unreachable()
	}
	if inner := errors.Unwrap(err); inner != nil {
		return Unreachable(inner)
	}
	return true
}
