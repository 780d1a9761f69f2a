package verify

import (
	"bytes"
	"context"
	"slices"

	"github.com/segpull/segpull/segment"
)

// maxHashed is how many bytes are hashed for combinations, and again for
// boundaries, at the most: less than a minute's work for each.
const maxHashed = 8 << 30

// combine is called when every source is corrupt, or not available. The blob
// may yet be right with some bytes of one and others of another: all of it is
// fetched from every source, also from those that are excluded, and where they
// disagree, all combinations are tried, as far as maxHashed goes.
func (c *check) combine(ctx context.Context) (right bool, err error) {
	for _, r := range c.replicas {
		err := c.fetch(ctx, r, c.whole())
		if err != nil && !unavailable(err) {
			return false, err
		}
	}
	for _, r := range c.replicas {
		if right, err := c.stored().with(r, c.whole()).prove(ctx); right || err != nil {
			return right, err
		}
	}
	if _, later := c.failed(nil); later && !c.unhurried {
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
	left := int64(maxHashed)
	if right, err := c.try(ctx, all, &left); right || err != nil {
		return right, err
	}
	left = maxHashed
	for _, block := range []int64{1 << 20, 64 << 10, 4 << 10} {
		for k, d := range all {
			for at := (d.at.Start/block + 1) * block; at < d.at.End; at += block {
				before, after := d, d
				before.at.End, after.at.Start = at, at
				split := slices.Replace(slices.Clone(all), k, k+1, before, after)
				if right, err := c.try(ctx, split, &left); right || err != nil {
					return right, err
				}
			}
		}
	}
	return false, nil
}

// try tries all combinations of the variants, as long as bytes are left that may
// be hashed.
func (c *check) try(ctx context.Context, all []disagreement, left *int64) (right bool, err error) {
	for n := 0; *left > 0; n++ {
		o := c.stored()
		digits := n // each with a base of its own
		for _, d := range all {
			o = o.with(d.variants[digits%len(d.variants)], d.at)
			digits /= len(d.variants)
		}
		if digits > 0 {
			break
		}
		if right, err := o.prove(ctx); right || err != nil {
			return right, err
		}
		*left -= c.blob.Size()
	}
	return false, nil
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
	for at := int64(0); at < c.blob.Size(); at += window {
		r := segment.Range{Start: at, End: min(at+window, c.blob.Size())}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d, err := c.variants(r)
		if err != nil {
			return nil, err
		}
		switch n := len(found); {
		case len(d.variants) < 2:
		case n > 0 && found[n-1].at.End == r.Start && slices.Equal(found[n-1].parts, d.parts):
			found[n-1].at.End = r.End
		default:
			found = append(found, d)
		}
	}
	return found, nil
}

// variants sorts the replicas by what they have of r.
func (c *check) variants(r segment.Range) (disagreement, error) {
	d := disagreement{at: r}
	var seen [][]byte
	for _, rep := range c.replicas {
		p, err := readRange(c.stored().with(rep, r), r)
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
