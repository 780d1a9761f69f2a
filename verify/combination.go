package verify

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/segpull/segpull/segment"
)

// maxHashed is how many bytes are hashed for combinations at the most: less than
// a minute's work.
const maxHashed = 8 << 30

// combine is called when every source is corrupt, or not available. The blob
// may yet be right with some bytes of one and others of another: all of it is
// fetched from every source, also from those that are excluded, and where they
// disagree, all combinations are tried, as far as maxHashed goes.
func (c *check) combine(ctx context.Context) (right bool, err error) {
	for _, r := range c.replicas {
		if err = r.fetch(ctx, c.whole()); err == nil {
			right, err = c.stored().with(r, c.whole()).prove(ctx)
		}
		if right || err != nil && !unavailable(err) {
			return right, err
		}
	}
	if !c.unhurried && is[*segment.GiveUpError](c.failed(nil)) {
		return false, nil // all this hashing is for when no source is left to ask
	}
	all, err := c.disagreements(ctx)
	if err != nil {
		return false, err
	}
	left := int64(maxHashed)
	for cut := range cuts(all) {
		right, err := c.tryAll(ctx, c.stored(), cut, &left)
		if right || err != nil || left < c.blob.Size() {
			return right, err
		}
	}
	return false, nil
}

// tryAll tries each way to take disagreements from sources, as long as left has enough
// bytes to hash the blob.
func (c *check) tryAll(ctx context.Context, o overlay, all []disagreement, left *int64) (right bool, err error) {
	if len(all) == 0 {
		*left -= c.blob.Size()
		return o.prove(ctx)
	}
	for i, r := range c.replicas {
		if all[0].same[i] < i || *left < c.blob.Size() {
			continue
		}
		if right, err := c.tryAll(ctx, o.with(r, all[0].Range), all[1:], left); right || err != nil {
			return right, err
		}
	}
	return false, nil
}

// disagreement is bytes of which not every source has the same.
type disagreement struct {
	segment.Range
	same []int // for each replica, the first one that has the same
}

// disagreements finds the bytes of which not every source has the same. Where
// they touch and each source agrees with the same others, they are one. What
// lies within a window is not told apart.
func (c *check) disagreements(ctx context.Context) (found []disagreement, err error) {
	for at := int64(0); at < c.blob.Size(); at += window {
		d := disagreement{Range: segment.Range{Start: at, End: min(at+window, c.blob.Size())}}
		var seen [][]byte
		for _, r := range c.replicas {
			p, err := readRange(c.stored().with(r, d.Range), d.Range)
			if err := cmp.Or(err, context.Cause(ctx)); err != nil {
				return nil, err
			}
			seen = append(seen, p)
			d.same = append(d.same, slices.IndexFunc(seen, func(other []byte) bool { return bytes.Equal(p, other) }))
		}
		switch last := len(found) - 1; {
		case slices.Max(d.same) == 0:
		case last >= 0 && found[last].End == d.Start && slices.Equal(found[last].same, d.same):
			found[last].End = d.End
		default:
			found = append(found, d)
		}
	}
	return found, nil
}

// cuts yields the disagreements as they are, and then with one of them cut in two,
// as where wrong bytes of two sources touch: servers and disks corrupt by blocks.
func cuts(all []disagreement) iter.Seq[[]disagreement] {
	return func(yield func([]disagreement) bool) {
		if !yield(all) {
			return
		}
		for _, block := range []int64{1 << 20, 64 << 10, 4 << 10} {
			for k, d := range all {
				for at := (d.Start/block + 1) * block; at < d.End; at += block {
					before, after := d, d
					before.End, after.Start = at, at
					if !yield(slices.Replace(slices.Clone(all), k, k+1, before, after)) {
						return
					}
				}
			}
		}
	}
}
