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

	// repeated is how many bytes two sources that differ are asked for again.
	repeated = 16 << 10
)

// eliminate takes the replica of one source after the other for a reference, until the
// blob is right, or bytes are wanted again: those of sources that were excluded, unless
// one source is left. That is a reference too: the blob may be right before all that the
// others sent was fetched from it.
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

// tryReference fetches what others served of the blob from the reference too: samples,
// what is around bytes that differ, since wrong ones come in a row, and then the rest. It
// hashes the blob as the reference has it. If it is right, the sources whose bytes differ
// are corrupt; if it is wrong, the reference is. It is done when the blob is right, or
// bytes of it are wanted again. Else it has excluded a source. If the reference is not
// available, the error is a *segment.GiveUpError or a *segment.HopelessError.
func (c *check) tryReference(ctx context.Context, reference *replica) (done bool, err error) {
	var first, around segment.Set
	size := c.blob.Size()
	for at := int64(0); at < size; at += max(2*window, size/samples) {
		first.Add(segment.Range{Start: at, End: at + window})
	}
	// Steps that each come just in time would add up to hours.
	fetching, cancel := c.search.budget(reference.source, size, c.unhurried).Limit(ctx)
	defer cancel()
	compared := []segment.Range{c.whole()} // some of it was fetched before
	for step := int64(window); ; {
		over := c.stored().with(reference, c.whole()) // as far as it was fetched
		if caught, err := c.compare(ctx, over, compared, &around); caught || err != nil {
			return false, err
		}
		next := reference.missing(size, slices.Concat(first.Ranges(), around.Ranges())...)
		if next.Len() == 0 {
			next = reference.missing(step, c.whole())
			step *= 2                                // so that the blob is hashed few times, and equivocation is found early
			if around.Len() > 0 || next.Len() == 0 { // the bytes that differ may be few
				if right, err := over.prove(ctx); right || err != nil {
					return right, err
				}
			}
		}
		if next.Len() == 0 {
			return c.decide(reference)
		}
		compared = next.Ranges()
		if err := reference.fetch(fetching, compared...); err != nil {
			return false, err
		}
	}
}

// compare finds what differs in ranges, and adds what is around it. For the first
// difference, it asks both the source of bytes on disk and the reference again, and
// returns true when it has excluded one that sends something else than before.
func (c *check) compare(ctx context.Context, over overlay, ranges []segment.Range, around *segment.Set) (caught bool, err error) {
	asked := false
	reach := max(window, c.blob.Size()/(2*samples))
	for _, r := range ranges {
		for d, err := range over.differences(ctx, r) {
			if err != nil {
				return false, err
			}
			around.Add(segment.Range{Start: d.Start - reach, End: d.End + reach})
			if asked || c.search.isCorrupt(d.source) {
				continue
			}
			asked = true
			if c.askAgain(ctx, d) {
				return true, nil
			}
		}
	}
	return false, nil
}

// askAgain asks both sources of a difference again for its first bytes, unless they are
// of an earlier run, or send whole blobs only. It excludes one that equivocates.
func (c *check) askAgain(ctx context.Context, d difference) (caught bool) {
	first := 0
	for d.stored[first] == d.bytes[first] {
		first++
	}
	end := min(first+repeated, len(d.bytes))
	again := segment.Range{Start: d.Start + int64(first), End: d.Start + int64(end)}
	for name, before := range map[string][]byte{d.source: d.stored[first:end], d.replica.name(): d.bytes[first:end]} {
		r := c.replicaOf(name)
		if r == nil || r.failure != nil || r.source.origin.WholeOnly() {
			continue
		}
		got, err := r.ask(ctx, again)
		r.fail(err)
		if err == nil && !bytes.Equal(got, before) {
			c.exclude(name, "it sent different bytes each time for %v of %s", again, c.blob.Digest())
			caught = true
		}
	}
	return caught
}

// decide is called when all was fetched from the reference, and is wrong. If no
// other source has the blob, it is fetched once more.
func (c *check) decide(reference *replica) (done bool, err error) {
	src := reference.source
	if missing := reference.missing(c.blob.Size(), c.whole()); missing.Len() > 0 {
		return true, nil // of a damaged disk, bytes were fetched again, from others
	}
	others := slices.ContainsFunc(c.search.sources, func(o *source) bool {
		return o != src && !c.search.opts.Scheduler.Lacks(o.index, c.index)
	})
	if others || src.retried {
		c.exclude(src.name(), "the bytes that it alone sent for %s have another digest", c.blob.Digest())
		return false, nil
	}
	src.retried = true
	c.search.opts.Report.Warn(fmt.Sprintf("%s served wrong bytes of %s: segpull tries once more; give another mirror with --mirror if that fails",
		src.name(), c.blob.Digest()))
	return true, c.refetch(c.whole())
}
