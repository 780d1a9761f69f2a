package sources

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MirrorError says why a mirror is not usable for an image, or what the user
// should know about it.
type MirrorError struct {
	Mirror string // its name, or its URL without secrets
	Reason string // part of a sentence, such as "has no url"
	Fix    string // what the user can do
}

// Error returns one line.
func (e *MirrorError) Error() string {
	return fmt.Sprintf("mirror %s: %s; %s", e.Mirror, e.Reason, e.Fix)
}

// UsageError says that no source for the images of a registry is usable.
type UsageError struct {
	Registry string
	Errs     []error // one for each source
}

// Error returns one line that has all reasons.
func (e *UsageError) Error() string {
	return fmt.Sprintf("no usable mirror for images of %s: %s", e.Registry, oneLine(e.Errs))
}

// Unwrap returns the reasons.
func (e *UsageError) Unwrap() []error { return e.Errs }

// Usage says that the names or the configuration are wrong.
func (*UsageError) Usage() bool { return true }

// FetchError says why no source served a manifest or a small blob. At most one of
// Missing, Refused, Mismatch and Permanent returns true. Callers that do not
// import this package find these methods by errors.As with an interface of one
// method.
type FetchError struct {
	sources  []*Source
	errs     []error // one for each source
	resolver *Source // of the tag that led to the digest; nil if a tag was asked for, or none led here
}

func newFetchError(got []*answer) *FetchError {
	e := &FetchError{}
	for _, a := range got {
		e.sources = append(e.sources, a.source)
		e.errs = append(e.errs, a.err)
	}
	return e
}

// Error returns one line with the reason of each source.
func (e *FetchError) Error() string {
	if !e.all(missing) {
		return oneLine(e.errs)
	}
	var names []string
	for _, s := range e.sources {
		names = append(names, s.Name())
	}
	return "not found on " + strings.Join(names, ", ")
}

// Unwrap returns the errors of the sources in the order in which they were
// asked.
func (e *FetchError) Unwrap() []error { return e.errs }

// Missing reports whether the image does not exist. The registry itself decides,
// if it was asked; otherwise all sources have to agree.
func (e *FetchError) Missing() bool {
	if own := e.origin(); own != nil && missing(own) {
		return !e.Mismatch()
	}
	return e.definite() && !e.Mismatch() && !e.Refused() && !e.Permanent()
}

// Refused reports whether other credentials are necessary: a second request to any
// source would fail in the same way, and the registry itself refused access; or,
// if it was not asked, any source did.
func (e *FetchError) Refused() bool { return e.decided(refused) && !e.Mismatch() }

// Mismatch reports whether a source served bytes that do not have the digest, and
// a second request to any source would fail in the same way.
func (e *FetchError) Mismatch() bool {
	return e.definite() && slices.ContainsFunc(e.errs, mismatched)
}

// Withdrawn reports whether the source that resolved the tag does not serve the
// manifest or blob that its own answer names, and a second request to it would
// fail in the same way. No other source has served it either.
func (e *FetchError) Withdrawn() bool {
	i := slices.Index(e.sources, e.resolver)
	return i >= 0 && definite(e.errs[i])
}

// Permanent reports whether a second request to any source would fail in the same
// way, for another reason than those above.
func (e *FetchError) Permanent() bool {
	return e.decided(permanent) && !e.Mismatch() && !e.Refused()
}

// decided reports whether a second request would change nothing, and is returns
// true for the error of the registry itself or, if it was not asked, for any error.
func (e *FetchError) decided(is func(error) bool) bool {
	if !e.definite() {
		return false
	}
	if own := e.origin(); own != nil {
		return is(own)
	}
	return slices.ContainsFunc(e.errs, is)
}

// origin is the error of the registry itself, nil if it was not asked.
func (e *FetchError) origin() error {
	if i := slices.IndexFunc(e.sources, func(s *Source) bool { return s.at.origin }); i >= 0 {
		return e.errs[i]
	}
	return nil
}

// definite reports whether a second request to any source would change nothing.
func (e *FetchError) definite() bool { return e.all(definite) }

// definite reports whether a source would answer the same again.
func definite(err error) bool {
	return missing(err) || refused(err) || mismatched(err) || permanent(err)
}

func (e *FetchError) all(is func(error) bool) bool {
	return !slices.ContainsFunc(e.errs, func(err error) bool { return !is(err) })
}

// mismatchError is a manifest that is not the one asked for.
type mismatchError struct {
	source    string
	want, got ocispec.Descriptor
}

func (e *mismatchError) Error() string {
	return fmt.Sprintf("%s: sent %s of %d bytes in place of %s of %d", e.source, e.got.Digest, e.got.Size, e.want.Digest, e.want.Size)
}

// Mismatch returns true.
func (e *mismatchError) Mismatch() bool { return true }

func missing(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Missing() bool
	}](err)
	return ok && e.Missing()
}

func refused(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Refused() bool
	}](err)
	return ok && e.Refused()
}

func mismatched(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Mismatch() bool
	}](err)
	return ok && e.Mismatch()
}

func permanent(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Permanent() bool
	}](err)
	return ok && e.Permanent()
}

// oneLine joins the messages of errors.
func oneLine(errs []error) string {
	var b strings.Builder
	for i, err := range errs {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return b.String()
}
