package segpull

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/segpull/segpull/internal/class"
)

// Classes of the errors of Pull, for errors.Is. An error has at most one class;
// errors of the disk, of Options.Stdout and of the context have none.
var (
	// ErrUsage: a reference, a mirror or an option is invalid.
	ErrUsage = class.ErrUsage
	// ErrNotFound: no source has such an image, or not for the platform.
	ErrNotFound = class.ErrNotFound
	// ErrCredentials: no source serves the image, and at least one of them
	// refuses to without other credentials.
	ErrCredentials = class.ErrCredentials
	// ErrMismatch: the sources served bytes that do not have the digest or the
	// size that the manifest names.
	ErrMismatch = class.ErrMismatch
	// ErrNetwork: the network or a server failed. The same call continues from
	// what is on disk, and may succeed later.
	ErrNetwork = class.ErrNetwork
	// ErrPermanent: the same call would fail in the same way. The message says
	// what to change.
	ErrPermanent = class.ErrPermanent
)

// BatchError has the errors of the images that a Pull with Options.Batch did not
// finish. Its class is that of the first image in it.
type BatchError struct {
	Images int          // of the call
	Failed []ImageError // at least one, in the order of the references
}

// ImageError says why one image was not pulled.
type ImageError struct {
	Index     int    // of the reference among those of the call, from 0
	Reference string // as in Failed
	Err       error  // its text names the image
}

// Error returns one line, which names each image.
func (e *BatchError) Error() string {
	var names []string
	for _, f := range e.Failed {
		names = append(names, f.Reference)
	}
	return fmt.Sprintf("%d of %d images failed: %s", len(e.Failed), e.Images, strings.Join(names, ", "))
}

// Unwrap returns the error of the first image.
func (e *BatchError) Unwrap() error { return e.Failed[0].Err }

func usage(err error) error { return class.Mark(err, ErrUsage) }

// advise adds to the error of an image's pull what to do about it.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w; make room and run the same command again: segpull keeps what it fetched", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w; allow more open files (ulimit -n) and run the same command again: segpull keeps what it fetched", err)
	case class.Of(err) == ErrNetwork:
		return fmt.Errorf("%w; run the same command again to continue: segpull keeps what it fetched", err)
	case class.Of(err) == ErrMismatch:
		return fmt.Errorf("%w; give another mirror with --mirror", err)
	}
	return err
}
