package sources

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FetchError says why no source gave a manifest or a small blob. Missing,
// Refused, Mismatch, Permanent and Withdrawn are for errors.As with interfaces
// of one method; of the first four, at most one is true.
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

// Error is one line: the sources that were asked, and the reason of each.
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

// Missing reports whether the image does not exist: the registry itself says
// so, or without it every source that was reached.
func (e *FetchError) Missing() bool {
	if own := e.origin(); own != nil && missing(own) {
		return !e.Mismatch()
	}
	return e.definite() && !e.Mismatch() && !e.Refused() && !e.Permanent()
}

// Refused reports whether credentials are what is missing: no source can be
// tried again, and the registry itself, or without it any source, refuses.
func (e *FetchError) Refused() bool { return e.decided(refused) && !e.Mismatch() }

// Mismatch reports whether a source served other bytes than the digest names,
// and no other source can be tried again.
func (e *FetchError) Mismatch() bool {
	return e.definite() && slices.ContainsFunc(e.errs, mismatched)
}

// Withdrawn reports whether the source that resolved the tag does not serve
// what its answer names, and will not when it is asked again. No other source
// has served it.
func (e *FetchError) Withdrawn() bool {
	i := slices.Index(e.sources, e.resolver)
	return i >= 0 && definite(e.errs[i])
}

// Permanent reports whether every source would answer the same again, for
// another reason than those above.
func (e *FetchError) Permanent() bool {
	return e.decided(permanent) && !e.Mismatch() && !e.Refused()
}

// decided reports whether asking again would change nothing, and is holds of
// the registry itself, or without it of any source.
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

// definite reports whether asking again would change nothing.
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

// Mismatch is true.
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
