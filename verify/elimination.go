package verify

import (
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

	// repeated is how many bytes two sources that differ are asked for again.
	repeated = 16 << 10
)

// elimination takes the replica of one source for a reference: what others
// served of the blob is fetched from it too, and the blob is hashed as it has
// it. If it is right, the sources whose bytes differ are corrupt; if it is
// wrong, the reference is.
type elimination struct {
	reference *replica
	first     segment.Set // is fetched first: samples, and what is around bytes that differ, since wrong ones come in a row
	differs   bool        // some bytes do
}

// eliminate tries one reference after the other, until the blob is right, or bytes are
// wanted again: those of sources that were excluded, unless one source is left. That
// is a reference too: the blob may be right before all that the others sent was
// fetched from it.
func (c *check) eliminate(ctx context.Context) (done bool, err error) {
	all := c.candidates()
	if len(all) > 1 {
		if some, err := c.refetchExcluded(); some || err != nil {
			return some, err
		}
	}
	for _, r := range all {
		done, err := c.tryReference(ctx, r)
		if unavailable(err) {
			continue
		}
		if done || err != nil {
			return done, err
		}
		return c.eliminate(ctx) // without the source that it has excluded
	}
	return c.refetchExcluded()
}

// tryReference is done when the blob is right, or bytes of it are wanted again. Else
// it has excluded a source. If the reference is not available, the error is a
// *segment.GiveUpError or a *segment.HopelessError.
func (c *check) tryReference(ctx context.Context, reference *replica) (done bool, err error) {
	e := &elimination{reference: reference}
	size := c.blob.Size()
	for at := int64(0); at < size; at += max(2*window, size/samples) {
		e.first.Add(segment.Range{Start: at, End: at + window})
	}
	// Steps that each come just in time would add up to hours.
	fetching, cancel := c.search.budget(reference.source, size, c.unhurried).Limit(ctx)
	defer cancel()
	compared := []segment.Range{c.whole()} // some of it was fetched before
	for step := int64(firstStep); ; {
		over := c.stored().with(reference, c.whole()) // as far as it was fetched
		if caught, err := e.compare(ctx, over, compared); caught || err != nil {
			return false, err
		}
		next := reference.missing(size, e.first.Ranges()...)
		if next.Len() == 0 {
			next = reference.missing(step, c.whole())
			step *= 2
			if e.differs || next.Len() == 0 { // the bytes that differ may be few
				if right, err := over.prove(ctx); right || err != nil {
					return right, err
				}
			}
		}
		if next.Len() == 0 {
			return e.decide()
		}
		compared = next.Ranges()
		if err := reference.fetch(fetching, compared...); err != nil {
			return false, err
		}
	}
}

// compare finds what differs. For the first difference, it asks both the source of bytes
// on disk and the reference again, and returns true when it has excluded one that sends
// something else than before.
func (e *elimination) compare(ctx context.Context, over overlay, ranges []segment.Range) (caught bool, err error) {
	c, asked := e.reference.check, false
	reach := max(window, c.blob.Size()/(2*samples))
	for _, r := range ranges {
		for d, err := range over.differences(ctx, r) {
			if err != nil {
				return false, err
			}
			e.differs = true
			e.first.Add(segment.Range{Start: d.Start - reach, End: d.End + reach})
			if asked || c.search.isCorrupt(d.source) {
				continue
			}
			asked = true
			if e.repeat(ctx, d) {
				return true, nil
			}
		}
	}
	return false, nil
}

// repeat asks both sources of a difference again for its first bytes.
func (e *elimination) repeat(ctx context.Context, d difference) (caught bool) {
	c, first := e.reference.check, 0
	for d.stored[first] == d.bytes[first] {
		first++
	}
	end := min(first+repeated, len(d.bytes))
	again := segment.Range{Start: d.Start + int64(first), End: d.Start + int64(end)}
	for name, before := range map[string][]byte{d.source: d.stored[first:end], e.reference.name(): d.bytes[first:end]} {
		if c.replicaOf(name).equivocates(ctx, again, before) {
			c.exclude(name, "it sent different bytes each time for %v of %s", again, c.blob.Digest())
			caught = true
		}
	}
	return caught
}

// decide is called when all was fetched from the reference, and is wrong. If no
// other source has the blob, it is fetched once more.
func (e *elimination) decide() (done bool, err error) {
	c, src := e.reference.check, e.reference.source
	if missing := e.reference.missing(c.blob.Size(), c.whole()); missing.Len() > 0 {
		return true, nil // of a damaged disk, bytes were fetched again, from others
	}
	others := slices.ContainsFunc(c.search.sources, func(o *source) bool {
		return o != src && !c.search.opts.Scheduler.Lacks(o.index, c.index)
	})
	if others || src.retried {
		c.exclude(src.Name(), "the bytes that it alone sent for %s have another digest", c.blob.Digest())
		return false, nil
	}
	src.retried = true
	c.search.opts.Report.Warn(fmt.Sprintf("%s served wrong bytes of %s: segpull tries once more; give another mirror with --mirror if that fails",
		src.Name(), c.blob.Digest()))
	return true, c.refetch(c.whole())
}
