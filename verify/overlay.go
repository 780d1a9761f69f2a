package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"iter"

	"github.com/segpull/segpull/internal/layer"
	"github.com/segpull/segpull/segment"
)

// window is how much is compared at once.
const window = 64 << 10

// overlay is a blob as it might be: as it is on disk, but with bytes of
// replicas in some places. What is on disk stays as it is until an overlay has
// the right digest.
type overlay struct {
	check *check
	used  map[*replica]*segment.Set // which bytes are those of each
}

// stored is the blob as it is on disk.
func (c *check) stored() overlay { return overlay{c, make(map[*replica]*segment.Set)} }

// as is the blob as on disk, but with ranges as r has them, if it has them.
func (c *check) as(r *replica, at segment.Range) overlay {
	o := c.stored()
	o.use(r, at)
	return o
}

// with is the same once the rest of the range was fetched from r.
func (o overlay) with(ctx context.Context, r *replica, at segment.Range) (overlay, error) {
	if err := o.check.fetch(ctx, r, at); err != nil {
		return o, err
	}
	c := o.check.stored()
	for r, set := range o.used {
		c.used[r] = new(segment.Set)
		for _, part := range set.Ranges() {
			c.used[r].Add(part)
		}
	}
	c.use(r, at)
	return c, nil
}

// use puts r's bytes at a range. Those that are not in the scratch file are its
// own on disk.
func (o overlay) use(r *replica, at segment.Range) {
	for _, set := range o.used {
		set.Remove(at)
	}
	if o.used[r] == nil {
		o.used[r] = new(segment.Set)
	}
	for _, part := range r.fetched.Within(at) {
		o.used[r].Add(part)
	}
}

// part returns the replica that the byte at off is of, nil for the disk, and
// where the bytes of that end, up to end.
func (o overlay) part(off, end int64) (*replica, int64) {
	for r, set := range o.used {
		parts := set.Within(segment.Range{Start: off, End: end})
		if len(parts) > 0 && parts[0].Start == off {
			return r, parts[0].End
		}
		if len(parts) > 0 {
			end = parts[0].Start
		}
	}
	return nil, end
}

// server is the name of the source of the byte at off.
func (o overlay) server(off int64) string {
	if r, _ := o.part(off, off+1); r != nil {
		return r.name()
	}
	for _, run := range o.check.blob.Runs() {
		if run.Contains(segment.Range{Start: off, End: off + 1}) {
			return run.Source
		}
	}
	return ""
}

// Wait implements Content.
func (o overlay) Wait(ctx context.Context, off int64) error {
	if r, _ := o.part(off, off+1); r != nil {
		return nil
	}
	return o.check.blob.Wait(ctx, off)
}

// Read implements Content.
func (o overlay) Read(off int64, buf []byte) (int, error) {
	r, end := o.part(off, off+MaxRun)
	if r != nil {
		return r.read(off, buf[:end-off])
	}
	n, err := o.check.blob.Read(off, buf)
	return int(min(int64(n), end-off)), err
}

// findBreak returns where the layer breaks, as far as it goes up to end.
func (o overlay) findBreak(ctx context.Context, end int64) (int64, error) {
	return findBreak(ctx, o, o.check.blob.Size(), end)
}

func findBreak(ctx context.Context, src Content, size, end int64) (int64, error) {
	r := &reader{ctx: ctx, src: src, end: end}
	if end < size {
		r.atEnd = layer.ErrCut
	}
	return layer.FindBreak(bufio.NewReaderSize(r, MaxRun), size)
}

// difference is bytes that are others on disk than in an overlay.
type difference struct {
	at      segment.Range
	stored  []byte   // on disk
	source  string   // of these
	bytes   []byte   // in the overlay
	replica *replica // of these
}

// differences yields the bytes of r that are others on disk, or an error at
// last. They may be replaced meanwhile.
func (o overlay) differences(ctx context.Context, r segment.Range) iter.Seq2[difference, error] {
	return func(yield func(difference, error) bool) {
		for _, run := range o.check.blob.Runs() {
			for rep, set := range o.used {
				for at := range windows(set.Within(run.Intersect(r))...) {
					stored, errA := readRange(o.check.blob, at)
					p, errB := readRange(o, at)
					if err := cmp.Or(errA, errB, context.Cause(ctx)); err != nil {
						yield(difference{}, err)
						return
					}
					if stored != nil && !bytes.Equal(stored, p) && !yield(difference{at, stored, run.Source, p, rep}, nil) {
						return
					}
				}
			}
		}
	}
}

// windows yields ranges, a window at a time.
func windows(ranges ...segment.Range) iter.Seq[segment.Range] {
	return func(yield func(segment.Range) bool) {
		for _, r := range ranges {
			for at := r.Start; at < r.End; at += window {
				if !yield(segment.Range{Start: at, End: min(at+window, r.End)}) {
					return
				}
			}
		}
	}
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
		c.search.exclude(d.source, "%s is right with bytes %v from %s instead", c.blob.Digest(), d.at, d.replica.name())
		if err := c.blob.Replace(d.at.Start, d.bytes, d.replica.source.index); err != nil {
			return err
		}
	}
	for _, r := range c.replicas {
		for d, err := range c.as(r, c.whole()).differences(ctx, c.whole()) {
			if err != nil {
				return err
			}
			c.search.exclude(r.name(), "it sent other bytes %v of %s, which is right without them", d.at, c.blob.Digest())
		}
	}
	return nil
}
