package verify

import (
	"bytes"
	"context"
	"slices"

	"github.com/segpull/segpull/segment"
)

const (
	// maxHashed is how many bytes are hashed in the search for a combination, at
	// the most: less than a minute's work.
	maxHashed = 16 << 30
	// maxHashedForBoundaries is the same where wrong bytes of two sources touch.
	maxHashedForBoundaries = 4 << 30
)

// combine is called when every source is corrupt, or not available. The blob
// may yet be right with some bytes of one and others of another: all of it is
// fetched from every source, also from those that are excluded, and where they
// disagree, all combinations are tried, as far as maxHashed goes.
func (c *check) combine(ctx context.Context) (right bool, err error) {
	for _, r := range c.replicas {
		err := c.fetch(ctx, r, r.missing(c.whole(), c.blob.Size()))
		if err != nil && !unavailable(err) {
			return false, err
		}
	}
	if right, err := c.spliceFrom(ctx, c.replicas); right || err != nil {
		return right, err
	}
	for _, r := range c.replicas {
		o := c.stored()
		o.use(r, c.whole())
		if right, err := o.prove(ctx); right || err != nil {
			return right, err
		}
	}
	if !c.unhurried && c.timeout() != nil {
		return false, nil // all this hashing is for when no source is left to ask
	}
	return c.tryCombinations(ctx)
}

// tryCombinations tries first to take each disagreement as a whole from one
// source, then to change the source within one of them, as where wrong bytes of
// two sources touch: servers and disks corrupt by blocks.
func (c *check) tryCombinations(ctx context.Context) (right bool, err error) {
	all, err := c.disagreements(ctx)
	if err != nil {
		return false, err
	}
	s := &combinations{c, maxHashed}
	if right, err := s.try(ctx, all); right || err != nil {
		return right, err
	}
	s.left = maxHashedForBoundaries
	for _, block := range []int64{1 << 20, window, 4 << 10} {
		for k := range all {
			if right, err := s.tryBoundaries(ctx, all, k, block); right || err != nil {
				return right, err
			}
		}
	}
	return false, nil
}

// combinations is a search with a bound.
type combinations struct {
	check *check
	left  int64 // bytes that may still be hashed
}

// try tries all combinations of the variants.
func (s *combinations) try(ctx context.Context, all []disagreement) (right bool, err error) {
	choice := make([]int, len(all)) // of each disagreement: one of its variants
	for ; s.left > 0; s.left -= s.check.blob.Size() {
		o := s.check.stored()
		for i, d := range all {
			o.use(d.variants[choice[i]], d.at)
		}
		if right, err := o.prove(ctx); right || err != nil {
			return right, err
		}
		if !next(choice, all) {
			break
		}
	}
	return false, nil
}

// tryBoundaries splits the k-th disagreement at each boundary of a block.
func (s *combinations) tryBoundaries(ctx context.Context, all []disagreement, k int, block int64) (right bool, err error) {
	d := all[k]
	for at := (d.at.Start/block + 1) * block; at < d.at.End && s.left > 0; at += block {
		for _, before := range d.variants {
			for _, after := range d.variants {
				if before == after {
					continue
				}
				split := slices.Replace(slices.Clone(all), k, k+1,
					disagreement{at: segment.Range{Start: d.at.Start, End: at}, variants: []*replica{before}},
					disagreement{at: segment.Range{Start: at, End: d.at.End}, variants: []*replica{after}})
				if right, err := s.try(ctx, split); right || err != nil {
					return right, err
				}
			}
		}
	}
	return false, nil
}

// next counts up choice, of which each digit has its own base. It returns
// false after the last.
func next(choice []int, all []disagreement) bool {
	for i := range choice {
		if choice[i]++; choice[i] < len(all[i].variants) {
			return true
		}
		choice[i] = 0
	}
	return false
}

// disagreement is bytes of which not every source has the same.
type disagreement struct {
	at       segment.Range
	variants []*replica // one of those that agree, for each variant
	parts    []int      // which variant each replica has
}

// disagreements finds the bytes of which not every source has the same. Where
// they touch and each source agrees with the same others, they are one. What
// lies within a window is not told apart.
func (c *check) disagreements(ctx context.Context) (found []disagreement, err error) {
	err = eachWindow(ctx, c.whole(), func(r segment.Range) error {
		d, err := c.variants(r)
		if err != nil || len(d.variants) < 2 {
			return err
		}
		if n := len(found); n > 0 && found[n-1].at.End == r.Start && slices.Equal(found[n-1].parts, d.parts) {
			found[n-1].at.End = r.End
			return nil
		}
		found = append(found, d)
		return nil
	})
	return found, err
}

// variants sorts the replicas by what they have of r.
func (c *check) variants(r segment.Range) (disagreement, error) {
	d := disagreement{at: r}
	var seen [][]byte
	for _, rep := range c.replicas {
		o := c.stored()
		o.use(rep, r)
		p, err := readRange(o, r)
		if err != nil {
			return d, err
		}
		part := slices.IndexFunc(seen, func(other []byte) bool { return bytes.Equal(p, other) })
		if part < 0 {
			part = len(seen)
			seen = append(seen, p)
			d.variants = append(d.variants, rep)
		}
		d.parts = append(d.parts, part)
	}
	return d, nil
}
