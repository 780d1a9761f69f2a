package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// UnusableError says that segpull cannot use what was served as a manifest or an index: an
// error in JSON, a page, a manifest of schema 1, or one out of bounds.
type UnusableError struct {
	Digest digest.Digest // of the document; "" where Err names it
	Err    error         // what is wrong with it
	Says   string        // the text of a page or an error, one line of at most 200 characters; "" of a manifest
}

// Error is one line: what is wrong, and what the document says, quoted, or else its digest.
func (e *UnusableError) Error() string {
	switch {
	case e.Says != "":
		return fmt.Sprintf("%v; it says %q", e.Err, e.Says)
	case e.Digest != "":
		return fmt.Sprintf("manifest %s: %v", e.Digest, e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns what is wrong with the document.
func (e *UnusableError) Unwrap() error { return e.Err }

// Permanent is true: the same question gets the same answer.
func (e *UnusableError) Permanent() bool { return true }

// PlatformError says that what a reference names has no image for the wanted platform.
type PlatformError struct {
	Reference  Reference
	Wanted     Platform
	Available  []Platform   // in the order of the index, each once
	Unlabelled []Unlabelled // the manifests that were looked into, where an index gives no platforms
}

// Error is one line with what can be chosen instead.
func (e *PlatformError) Error() string {
	s := fmt.Sprintf("%s: no image for %s", e.Reference, e.Wanted)
	switch {
	case len(e.Unlabelled) > 0:
		return s + "; its index gives no platforms, and the configs of its manifests give: " + list(e.Unlabelled)
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

// Rejection is one source's answer to a tag that could not be used.
type Rejection struct {
	Source string // the name of the source; "" if the Fetcher has none
	Err    error  // why
}

// nameAnother is what to do where the sources that were asked have answered, and will answer so again.
const nameAnother = "; give another source with --mirror"

// RejectedError says that no source has a usable answer to a tag. It stands for at least one [Rejection].
type RejectedError struct {
	Reference  Reference
	Rejections []Rejection // in the order in which the sources were asked
	Failure    error       // of the sources that were asked after those; nil if all were rejected
}

// Error is one line that names each source with its reason.
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

// Unwrap returns the failure, if there is one, then the reasons: a source that could not be reached
// decides what the error is, since it may answer later.
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

// Permanent reports whether the same question gets the same answers: all sources were rejected, each for
// what its answer contains.
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

// Reason returns the text of an error of [Resolve] without the reference that it begins with.
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
