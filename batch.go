package segpull

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
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

// failed returns the event for an image that failed with err.
func failed(reference string, err error) Failed {
	e := Failed{Reference: reference, Message: err.Error()}
	if class := classOf(err); class != nil {
		e.Class = class.Error()
	}
	return e
}

// goOn reports whether the call continues after the error of one image. Then it
// has recorded the error.
func (c *call) goOn(ctx context.Context, j *job, err error) bool {
	if !c.opts.Batch || ctx.Err() != nil {
		return false
	}
	c.failed = append(c.failed, ImageError{j.index, j.name(), classify(err)})
	c.notify(failed(j.name(), err))
	return true
}

// each calls f for each job, and returns those for which f returned nil. The error
// is that of the first other one, unless the call goes on.
func (c *call) each(ctx context.Context, jobs []*job, f func(*job) error) ([]*job, error) {
	var kept []*job
	for _, j := range jobs {
		err := f(j)
		switch {
		case err == nil:
			kept = append(kept, j)
		case !c.goOn(ctx, j, err):
			return nil, err
		}
	}
	return kept, nil
}

// failures returns the error of a call for so many images that has gone on after errors.
func (c *call) failures(images int) error {
	if len(c.failed) == 0 {
		return nil
	}
	slices.SortStableFunc(c.failed, func(a, b ImageError) int { return cmp.Compare(a.Index, b.Index) })
	return &BatchError{images, c.failed}
}
