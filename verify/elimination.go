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
	reference *replica
	over      overlay     // the blob as the reference has it, as far as it was fetched
	beside    segment.Set // what is around bytes that differ: wrong ones come in a row
	step      int64       // bytes; 0 before the samples
	repeats   int         // how often two sources were asked again
	caught    bool        // one of them sent something else
}

// eliminate tries one reference after the other, until a source is excluded or
// bytes are wanted again. A source that is the last one becomes the reference:
// the blob may be right before all that the others sent was fetched from it.
func (c *check) eliminate(ctx context.Context) (done bool, err error) {
	for _, r := range c.candidates() {
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
	e := &elimination{check: c, reference: reference}
	// Steps that each come just in time would add up to hours.
	fetching, cancel := c.search.budget(reference.source, c.blob.Size(), c.unhurried).Limit(ctx)
	defer cancel()
	part := []segment.Range{c.whole()} // some of it was fetched before
	for {
		e.over = c.stored().with(reference, c.whole())
		err := e.compare(ctx, part)
		if err != nil || e.caught && !slices.Equal(c.candidates(), []*replica{reference}) {
			return false, err
		}
		part = reference.missing(c.blob.Size(), e.beside.Ranges()...)
		if len(part) == 0 {
			part = e.next()
			if right, err := e.rightByNow(ctx, part); right || err != nil {
				return right, err
			}
		}
		if len(part) == 0 {
			return false, c.decide(reference)
		}
		if err := c.fetch(fetching, reference, part...); err != nil {
			return false, err
		}
	}
}

// rightByNow reports whether the blob is right with what the reference has sent: at the
// end, and before next is fetched where some bytes differ, since they may be few.
func (e *elimination) rightByNow(ctx context.Context, next []segment.Range) (bool, error) {
	if e.beside.Len() == 0 && len(next) > 0 {
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
		if part := e.reference.missing(size, windows...); len(part) > 0 {
			return part
		}
	}
	e.step *= 2
	return e.reference.missing(e.step/2, e.check.whole())
}

// compare finds what differs. It asks both the source of bytes on disk and the
// reference again for some of them, and excludes a source that sends something
// else than before.
func (e *elimination) compare(ctx context.Context, ranges []segment.Range) error {
	reach := max(window, e.check.blob.Size()/(2*samples))
	for _, r := range ranges {
		for d, err := range e.over.differences(ctx, r) {
			if err != nil {
				return err
			}
			e.beside.Add(segment.Range{Start: d.Start - reach, End: d.End + reach})
			if !e.caught && !e.check.search.isCorrupt(d.source) && e.repeats < repeats {
				e.repeats++
				e.repeat(ctx, d)
			}
		}
	}
	return nil
}

// repeat asks both sources of a difference again for its first bytes.
func (e *elimination) repeat(ctx context.Context, d difference) {
	first := 0
	for d.stored[first] == d.bytes[first] {
		first++
	}
	end := min(first+repeated, len(d.bytes))
	again := segment.Range{Start: d.Start + int64(first), End: d.Start + int64(end)}
	for name, before := range map[string][]byte{d.source: d.stored[first:end], e.reference.name(): d.bytes[first:end]} {
		if e.check.equivocates(ctx, e.check.replicaOf(name), again, before) {
			e.check.search.exclude(name, e.check.blob.Digest(), "it sent different bytes each time for %v of %s", again, e.check.blob.Digest())
			e.caught = true
		}
	}
}

// equivocates reports whether a source sends something else than before. r is
// nil for one of an earlier run.
func (c *check) equivocates(ctx context.Context, r *replica, at segment.Range, before []byte) bool {
	if r == nil || r.failure != nil || r.source.WholeOnly() && at.End > mostRepeated {
		return false
	}
	again, err := c.ask(ctx, r.source, at)
	r.fail(err)
	return err == nil && !bytes.Equal(again, before)
}

// decide is called when all was fetched from a reference, and is wrong. If no
// other source has the blob, it is fetched once more.
func (c *check) decide(reference *replica) error {
	if len(reference.missing(c.blob.Size(), c.whole())) > 0 {
		return nil // of a damaged disk, bytes were fetched again, from others
	}
	others := slices.ContainsFunc(c.search.sources, func(src *source) bool {
		return src != reference.source && !c.search.opts.Scheduler.Lacks(src.index, c.index)
	})
	if others || reference.source.retried {
		c.search.exclude(reference.name(), c.blob.Digest(), "the bytes that it alone sent for %s have another digest", c.blob.Digest())
		return nil
	}
	reference.source.retried = true
	c.search.opts.Report.Warn(fmt.Sprintf("%s served wrong bytes of %s: segpull tries once more; give another mirror with --mirror if that fails",
		reference.name(), c.blob.Digest()))
	return c.refetch(c.whole())
}
