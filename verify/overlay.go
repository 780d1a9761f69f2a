package verify

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/segpull/segpull/segment"
)

// window is how much is compared at once.
const window = 64 << 10

// overlay is a blob as it might be: as it is on disk, but with bytes of
// replicas in some places. What is on disk stays as it is until an overlay has
// the right digest.
type overlay struct {
	check *check
	parts []part // a later one covers those before it
}

// part is bytes of an overlay that one replica has in the scratch file, or that
// are those on disk.
type part struct {
	segment.Range
	replica *replica // nil: on disk
}

// stored is the blob as it is on disk.
func (c *check) stored() overlay { return overlay{check: c} }

// with is the overlay with a range as r has it, if r has it. What is not in the
// scratch file is r's own on disk.
func (o overlay) with(r *replica, at segment.Range) overlay {
	o.parts = append(slices.Clip(o.parts), part{at, nil})
	for _, fetched := range r.fetched.Within(at) {
		o.parts = append(o.parts, part{fetched, r})
	}
	return o
}

// part returns the part that begins at off, up to end.
func (o overlay) part(off, end int64) part {
	for _, p := range slices.Backward(o.parts) {
		switch {
		case off < p.Start:
			end = min(end, p.Start)
		case off < p.End:
			return part{segment.Range{Start: off, End: min(end, p.End)}, p.replica}
		}
	}
	return part{segment.Range{Start: off, End: end}, nil}
}

// Wait implements Content.
func (o overlay) Wait(ctx context.Context, off int64) error { return o.check.blob.Wait(ctx, off) }

// Read implements Content.
func (o overlay) Read(off int64, buf []byte) (int, error) {
	p := o.part(off, off+MaxRun)
	if p.replica != nil {
		return o.check.search.scratch.ReadAt(buf[:p.Len()], p.replica.base+off)
	}
	n, err := o.check.blob.Read(off, buf)
	return int(min(int64(n), p.Len())), err
}

// difference is bytes that are others on disk than in an overlay.
type difference struct {
	part          // of the overlay
	stored []byte // on disk
	source string // of these
	bytes  []byte // in the overlay
}

// differences yields the bytes of r that are others on disk, or an error at
// last. They may be replaced meanwhile.
func (o overlay) differences(ctx context.Context, r segment.Range) iter.Seq2[difference, error] {
	return func(yield func(difference, error) bool) {
		for _, run := range o.check.blob.Runs() {
			for at := run.Intersect(r); !at.Empty(); {
				p := o.part(at.Start, min(at.Start+window, at.End))
				at.Start = p.End
				if p.replica == nil {
					continue
				}
				stored, errA := readRange(o.check.blob, p.Range)
				other, errB := readRange(o, p.Range)
				if err := cmp.Or(errA, errB, context.Cause(ctx)); err != nil {
					yield(difference{}, err)
					return
				}
				if stored != nil && !bytes.Equal(stored, other) && !yield(difference{p, stored, run.Source, other}, nil) {
					return
				}
			}
		}
	}
}

// firstWrong returns whose bytes the first of r are that are others on disk; nil if
// there are none, or if an earlier run fetched them.
func (o overlay) firstWrong(ctx context.Context, r segment.Range) (*replica, error) {
	for d, err := range o.differences(ctx, r) {
		return o.check.replicaOf(d.source), err
	}
	return nil, nil
}

// prove reports whether the blob is right with this overlay, and if so applies
// it.
func (o overlay) prove(ctx context.Context) (right bool, err error) {
	err = new(Frontier).Blob(ctx, o, o.check.blob.Digest(), o.check.blob.Size())
	if is[*MismatchError](err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, o.apply(ctx)
}

// apply is called when the overlay has the right digest. It writes the bytes of
// the overlay over the wrong ones on disk, and excludes whoever sent something
// else, on disk or in the scratch file.
func (o overlay) apply(ctx context.Context) error {
	c := o.check
	for d, err := range o.differences(ctx, c.whole()) {
		if err != nil {
			return err
		}
		c.exclude(d.source, "%s is right with bytes %v from %s instead", c.blob.Digest(), d.Range, d.replica.name())
		if err := c.blob.Replace(d.Start, d.bytes, d.replica.source.index); err != nil {
			return err
		}
	}
	for _, r := range c.replicas {
		for d, err := range c.stored().with(r, c.whole()).differences(ctx, c.whole()) {
			if err != nil {
				return err
			}
			c.exclude(r.name(), "it sent other bytes %v of %s, which is right without them", d.Range, c.blob.Digest())
		}
	}
	return nil
}
