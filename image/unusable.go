package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// UnusableError says that what a source served as a manifest or an index is not
// usable: it is an error in JSON, a web page, a manifest of Docker schema 1, or a
// manifest that exceeds the bounds of this package.
type UnusableError struct {
	Digest digest.Digest // of the document; "" if Err names it
	Err    error         // what is wrong with the document
	Text   string        // the readable text of a page or an error, on one line of at most 200 characters; "" for a manifest
}

// Error returns one line: what is wrong, and the quoted text of the document or
// else its digest.
func (e *UnusableError) Error() string {
	switch {
	case e.Text != "":
		return fmt.Sprintf("%v; it says %q", e.Err, e.Text)
	case e.Digest != "":
		return fmt.Sprintf("manifest %s: %v", e.Digest, e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns what is wrong with the document.
func (e *UnusableError) Unwrap() error { return e.Err }

// Permanent returns true: the same request gets the same answer.
func (e *UnusableError) Permanent() bool { return true }

// PlatformError says that what a reference names has no image for the wanted platform.
type PlatformError struct {
	Reference Reference
	Wanted    Platform
	Available []Platform         // in the order of the index, each once
	Manifests []ManifestPlatform // those whose configs were read, because an index gives no platforms
}

// Error returns one line that lists the platforms to choose from, at most 50.
func (e *PlatformError) Error() string {
	s := fmt.Sprintf("%s: no image for %s", e.Reference, e.Wanted)
	switch {
	case len(e.Manifests) > 0:
		return s + "; its index gives no platforms, and the configs of its manifests give: " + list(e.Manifests)
	case len(e.Available) == 0:
		return s + ", and none for any other platform"
	}
	return s + "; choose with --platform one of: " + list(e.Available)
}

// list joins the first items.
func list[T fmt.Stringer](items []T) string {
	var words []string
	for _, item := range items[:min(len(items), maxListed)] {
		words = append(words, item.String())
	}
	return strings.Join(words, ", ")
}

// Rejection is one source's answer to a tag that is not usable.
type Rejection struct {
	Source string // name of the source; "" if the Fetcher has none
	Err    error  // an UnusableError, a PlatformError, or an error with Withdrawn
}

// nameAnother is what to do where the sources that were asked have answered, and will answer so again.
const nameAnother = "; give another source with --mirror"

// RejectedError says that no source has a usable answer to a tag.
type RejectedError struct {
	Reference  Reference
	Rejections []Rejection // at least one, in the order in which the sources were asked
	Failure    error       // of the sources that were asked after those; nil if all were rejected
}

// Error returns one line that names each source with its reason.
func (e *RejectedError) Error() string {
	var reasons []string
	for _, r := range e.Rejections {
		reasons = append(reasons, r.Source+": "+Reason(e.Reference, r.Err))
	}
	advice := nameAnother
	if e.Failure != nil {
		reasons, advice = append(reasons, e.Failure.Error()), ""
	}
	return fmt.Sprintf("resolve %s: no source has a usable answer: %s%s", e.Reference, strings.Join(reasons, "; "), advice)
}

// Unwrap returns the failure, if there is one, then the reasons. The failure comes
// first, so that errors.As finds it first: that source may answer later.
func (e *RejectedError) Unwrap() []error {
	var errs []error
	if e.Failure != nil {
		errs = append(errs, e.Failure)
	}
	for _, r := range e.Rejections {
		errs = append(errs, r.Err)
	}
	return errs
}

// Permanent reports whether the same request gets the same answers: all sources
// were rejected, each for the content of its answer.
func (e *RejectedError) Permanent() bool {
	for _, r := range e.Rejections {
		_, content := errors.AsType[*UnusableError](r.Err)
		_, platform := errors.AsType[*PlatformError](r.Err)
		if !content && !platform {
			return false
		}
	}
	return e.Failure == nil
}

// Reason returns the text of an error of [Resolve] without the reference at its
// start.
func Reason(ref Reference, err error) string {
	return strings.TrimPrefix(err.Error(), ref.String()+": ")
}

// rejectable reports whether an error concerns the answer that a source gave to the tag, so that another
// source may do better: failures of the network, and the end of a context, do not.
func rejectable(err error) bool {
	if _, ok := errors.AsType[*UnusableError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*PlatformError](err); ok {
		return true
	}
	e, ok := errors.AsType[interface {
		error
		Withdrawn() bool
	}](err)
	return ok && e.Withdrawn()
}

// rejected returns the error of a tag after these rejections, and after the failure of the sources that
// were asked last, if there is one. One rejection alone, and platforms that no source has, need no list.
func rejected(ref Reference, rejections []Rejection, failure error) error {
	first := rejections[0]
	_, content := errors.AsType[*UnusableError](first.Err)
	switch {
	case failure != nil || len(rejections) > 1 && !allPlatforms(rejections):
		return &RejectedError{ref, rejections, failure}
	case content && first.Source != "":
		return fmt.Errorf("resolve %s: %s: %w%s", ref, first.Source, first.Err, nameAnother)
	}
	return explain(ref, first.Err)
}

func allPlatforms(rejections []Rejection) bool {
	for _, r := range rejections {
		if _, ok := errors.AsType[*PlatformError](r.Err); !ok {
			return false
		}
	}
	return true
}

// explain names the reference, which a PlatformError does itself.
func explain(ref Reference, err error) error {
	if _, ok := errors.AsType[*PlatformError](err); ok {
		return err
	}
	return fmt.Errorf("resolve %s: %w", ref, err)
}
