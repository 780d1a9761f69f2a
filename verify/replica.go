package verify

import (
	"context"
	"time"

	"github.com/segpull/segpull/segment"
)

// replica is what one source has of a blob: the bytes that it served, which are
// on disk, and others that it was asked for later, which are in the scratch
// file. So no source is asked for the same bytes twice, except to see whether it
// sends the same.
type replica struct {
	check   *check
	source  *source
	base    int64       // where the blob begins in the scratch file
	fetched segment.Set // which bytes are in the scratch file
	failure error       // why the source sends nothing until the next round of steps
	doubted bool        // its bytes seem to be wrong
}

func (r *replica) name() string { return r.source.name() }

// missing returns the bytes of ranges that the source neither served nor was
// asked for later, and that another one served, at most so many.
func (r *replica) missing(most int64, ranges ...segment.Range) (found segment.Set) {
	for _, run := range r.check.blob.Runs() {
		if run.Source == r.name() {
			continue
		}
		for _, at := range ranges {
			for _, gap := range r.fetched.Without(run.Intersect(at)) {
				gap.End = min(gap.End, gap.Start+most-found.Len())
				found.Add(gap)
			}
		}
	}
	return found
}

// fetch asks the source for bytes of the blob that it has not sent yet. After a
// failure, it fails at once until the next round of steps.
func (r *replica) fetch(ctx context.Context, ranges ...segment.Range) error {
	c := r.check
	if !c.unhurried && time.Since(r.source.timedOut) < timeoutMemory {
		r.failure = &segment.GiveUpError{After: quickAnswer}
	}
	if r.source.origin.WholeOnly() { // it would start over each time
		ranges = []segment.Range{c.whole()}
	}
	missing := r.missing(c.blob.Size(), ranges...)
	if r.failure != nil || missing.Len() == 0 {
		return r.failure
	}
	budget := c.search.budget(r.source, missing.Len(), c.unhurried)
	err := r.source.origin.ReadRanges(ctx, c.index, missing.Ranges(), budget, r.keep)
	r.fail(err)
	return err
}

// fail remembers the error of a source that is not available.
func (r *replica) fail(err error) {
	if unavailable(err) {
		r.failure = err
	}
	if is[*segment.GiveUpError](err) {
		r.source.timedOut = time.Now()
	}
}

// keep puts bytes of the source into the scratch file.
func (r *replica) keep(off int64, p []byte) (err error) {
	s := r.check.search
	if s.scratch == nil {
		if s.scratch, err = s.opts.Scratch(); err != nil {
			return err
		}
	}
	if _, err := s.scratch.WriteAt(p, r.base+off); err != nil {
		return err
	}
	r.fetched.Add(segment.Range{Start: off, End: off + int64(len(p))})
	return nil
}
