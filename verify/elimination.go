package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/segpull/segpull/segment"
)

const (
	// samples is into how many parts a blob is divided: at the start of each, a
	// window is compared first.
	samples = 32

	// firstStep is how much of a reference is fetched then, in bytes. Steps
	// double, so that equivocation is found before all of it was fetched, and the
	// blob is hashed few times.
	firstStep = 64 << 10

	// repeated is how many bytes two sources that differ are asked for again,
	// and repeats how often.
	repeated = 16 << 10
	repeats  = 3
	// mostRepeated is how far into a blob a source that sends whole blobs only
	// is asked again.
	mostRepeated = 1 << 20
)

// elimination takes the replica of one source for a reference: what others
// served of the blob is fetched from it too, and the blob is hashed as it has
// it. If it is right, the sources whose bytes differ are corrupt; if it is
// wrong, the reference is.
type elimination struct {
	check     *check
	over      overlay // the blob as the reference has it, as far as it was fetched
	reference *replica
	step      int64          // bytes; 0 before the samples
	repeats   map[string]int // how often each source was asked again
	differs   bool           // the reference differs from what is on disk
}

// eliminate tries one reference after the other, until a source is excluded or
// bytes are wanted again. A source that is the last one becomes the reference:
// the blob may be right before all that the others sent was fetched from it.
func (c *check) eliminate(ctx context.Context) (done bool, err error) {
	for _, r := range c.candidates() {
		if !c.search.sound(r.source) {
			continue
		}
		right, err := c.tryReference(ctx, r)
		if right || err != nil && !unavailable(err) {
			return right, err
		}
		if left := c.candidates(); err == nil && (len(left) > 1 || slices.Contains(left, r)) {
			_, err := c.refetchExcluded(ctx)
			return true, err
		}
	}
	return c.refetchExcluded(ctx)
}

// tryReference ends with the blob right, or with bytes of it wanted again, or
// with a source excluded. If the reference is not available, the error is a
// *segment.GiveUpError or a *segment.HopelessError.
func (c *check) tryReference(ctx context.Context, reference *replica) (right bool, err error) {
	e := &elimination{check: c, reference: reference, repeats: make(map[string]int)}
	// Steps that each come just in time would add up to hours.
	fetching, cancel := c.budget(reference.source, c.blob.Size()).Limit(ctx)
	defer cancel()
	part := []segment.Range{c.whole()} // some of it was fetched before
	for {
		e.over = c.stored().with(reference, c.whole())
		beside, equivocation, err := e.compare(ctx, part)
		if err != nil || equivocation && !slices.Equal(c.candidates(), []*replica{reference}) {
			return false, err
		}
		e.differs = e.differs || len(beside) > 0
		if part = e.missing(beside...); len(part) == 0 {
			if right, err := e.proveEarly(ctx); right || err != nil {
				return right, err
			}
			if part = e.next(); len(part) == 0 {
				return e.decide(ctx)
			}
		}
		if err := c.fetch(fetching, reference, part...); err != nil {
			return false, err
		}
	}
}

// proveEarly hashes the blob before all of it was fetched from the reference: where
// wrong bytes are few, it may be right by now.
func (e *elimination) proveEarly(ctx context.Context) (right bool, err error) {
	if !e.differs {
		return false, nil
	}
	return e.over.prove(ctx)
}

// next returns which bytes are fetched from the reference when those beside
// wrong ones were: samples, then all the rest.
func (e *elimination) next() []segment.Range {
	size := e.check.blob.Size()
	if e.step == 0 {
		e.step = firstStep
		var windows []segment.Range
		for at := int64(0); at < size; at += max(2*window, size/samples) {
			windows = append(windows, segment.Range{Start: at, End: at + window})
		}
		if part := e.missing(windows...); len(part) > 0 {
			return part
		}
	}
	e.step *= 2
	part := e.reference.missing(e.step/2, e.check.whole())
	return part.Ranges()
}

// missing returns which bytes of ranges are still to be fetched.
func (e *elimination) missing(ranges ...segment.Range) []segment.Range {
	found := e.reference.missing(e.check.blob.Size(), ranges...)
	return found.Ranges()
}

// compare returns what is beside bytes that differ: wrong ones come in a row. It
// asks both the source of bytes on disk and the reference again for some of
// them, and excludes a source that equivocates.
func (e *elimination) compare(ctx context.Context, ranges []segment.Range) (beside []segment.Range, equivocation bool, err error) {
	reach := max(window, e.check.blob.Size()/(2*samples))
	for _, r := range ranges {
		for d, err := range e.over.differences(ctx, r) {
			if err != nil {
				return nil, false, err
			}
			beside = append(beside, segment.Range{Start: d.Start - reach, End: d.End + reach})
			if equivocation || e.check.search.opts.Corrupt.Has(d.source) || e.repeats[d.source] == repeats {
				continue
			}
			e.repeats[d.source]++
			equivocation = e.repeat(ctx, d)
		}
	}
	return beside, equivocation, nil
}

// repeat asks both sources of a difference again for its first bytes.
func (e *elimination) repeat(ctx context.Context, d difference) (equivocation bool) {
	first := firstDifference(d.stored, d.bytes)
	end := min(first+repeated, len(d.bytes))
	again := segment.Range{Start: d.Start + int64(first), End: d.Start + int64(end)}
	for name, before := range map[string][]byte{d.source: d.stored[first:end], e.reference.name(): d.bytes[first:end]} {
		if e.equivocates(ctx, e.check.replicaOf(name), again, before) {
			e.check.search.exclude(name, "it sent different bytes each time for %v of %s", again, e.check.blob.Digest())
			equivocation = true
		}
	}
	return equivocation
}

// equivocates reports whether a source sends something else than before. r is
// nil for one of an earlier run.
func (e *elimination) equivocates(ctx context.Context, r *replica, at segment.Range, before []byte) bool {
	if r == nil || r.failure != nil || r.source.origin.WholeOnly() && at.End > mostRepeated {
		return false
	}
	again, err := e.check.ask(ctx, r.source, at)
	r.fail(err)
	return err == nil && !bytes.Equal(again, before)
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// decide says who is corrupt, once all was fetched.
func (e *elimination) decide(ctx context.Context) (right bool, err error) {
	right, err = e.over.prove(ctx)
	switch {
	case right || err != nil:
		return right, err
	case len(e.missing(e.check.whole())) > 0:
		return false, nil // of a damaged disk, bytes were fetched again, from others
	case !e.reference.source.retried && e.alone():
		return false, e.retry()
	}
	e.check.search.exclude(e.reference.name(), "the bytes that it alone sent for %s have another digest", e.check.blob.Digest())
	return false, nil
}

// alone reports whether no other source has the blob.
func (e *elimination) alone() bool {
	s := e.check.search
	return !slices.ContainsFunc(s.sources, func(src *source) bool {
		return src != e.reference.source && !s.opts.Scheduler.Lacks(src.index, e.check.index)
	})
}

// retry fetches the blob once more from its only source.
func (e *elimination) retry() error {
	e.reference.source.retried = true
	e.check.search.opts.Report.Warn(fmt.Sprintf("%s served wrong bytes of %s: segpull tries once more; give another mirror with --mirror if that fails",
		e.reference.name(), e.check.blob.Digest()))
	return e.check.refetch(e.check.whole())
}
