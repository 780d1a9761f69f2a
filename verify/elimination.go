package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/segpull/segpull/segment"
)

const (
	// firstStep is how much of a reference is fetched at first, in bytes. Steps
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
	over      overlay
	reference *replica
	differs   bool           // whether others have served anything else
	repeats   map[string]int // how often each source was asked again
}

// eliminate tries one reference after the other, until a source is excluded or
// bytes are wanted again. A source that is the last one becomes the reference:
// the blob may be right before all that the others sent was fetched from it.
func (c *check) eliminate(ctx context.Context) (done bool, err error) {
	for _, r := range c.candidates() {
		if !c.search.sound(r.index) {
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
	e := &elimination{check: c, over: c.stored(), reference: reference, repeats: make(map[string]int)}
	// Steps that each come just in time would add up to hours.
	fetching, cancel := c.budget(reference, []segment.Range{c.whole()}).Limit(ctx)
	defer cancel()
	part := []segment.Range{c.whole()} // some of it was fetched before
	for step := int64(firstStep); ; step *= 2 {
		e.over.use(reference, c.whole())
		equivocation, err := e.findEquivocation(ctx, part)
		if err != nil || equivocation && !slices.Equal(c.candidates(), []*replica{reference}) {
			return false, err
		}
		if e.differs { // where wrong bytes are few, the blob may be right by now
			if right, err := e.over.prove(ctx); right || err != nil {
				return right, err
			}
		}
		if part = reference.missing(c.whole(), step); len(part) == 0 {
			return e.decide(ctx)
		}
		if err := c.fetch(fetching, reference, part); err != nil {
			return false, err
		}
	}
}

// findEquivocation asks both the source of bytes on disk and the reference
// again, where they differ. A source that sends something else than before is
// excluded.
func (e *elimination) findEquivocation(ctx context.Context, ranges []segment.Range) (found bool, err error) {
	for _, r := range ranges {
		for d, err := range e.over.differences(ctx, r) {
			if err != nil {
				return found, err
			}
			e.differs = true
			if found || e.check.search.opts.Corrupt.Has(d.source) || e.repeats[d.source] == repeats {
				continue
			}
			e.repeats[d.source]++
			found = e.repeat(ctx, d)
		}
	}
	return found, nil
}

// repeat asks both sources of a difference again for its first bytes.
func (e *elimination) repeat(ctx context.Context, d difference) (equivocation bool) {
	first := firstDifference(d.stored, d.bytes)
	end := min(first+repeated, len(d.bytes))
	again := segment.Range{Start: d.at.Start + int64(first), End: d.at.Start + int64(end)}
	for name, before := range map[string][]byte{d.source: d.stored[first:end], e.reference.name(): d.bytes[first:end]} {
		if e.equivocates(ctx, e.check.replicaOf(name), again, before) {
			e.check.search.exclude(name, "it sent two different things for bytes %v of %s", again, e.check.blob.Digest())
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
	again, err := e.check.search.ask(ctx, r.source, e.check.index, at)
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
	case len(e.reference.missing(e.check.whole(), 1)) > 0:
		return false, nil // of a damaged disk, bytes were fetched again, from others
	case !e.reference.source.retried && e.alone():
		return false, e.retry()
	}
	e.check.search.exclude(e.reference.name(), "%s is wrong as it alone has it", e.check.blob.Digest())
	return false, nil
}

// alone reports whether no other source has the blob.
func (e *elimination) alone() bool {
	s := e.check.search
	return !s.anyOther(e.reference.name(), func(k int) bool { return !s.opts.Scheduler.Lacks(k, e.check.index) })
}

// retry fetches the blob once more from its only source.
func (e *elimination) retry() error {
	e.reference.source.retried = true
	e.check.search.opts.Report.Warn(fmt.Sprintf("%s served wrong bytes of %s: trying once more; give another mirror with --mirror if that fails",
		e.reference.name(), e.check.blob.Digest()))
	return e.check.refetch(e.check.whole())
}
