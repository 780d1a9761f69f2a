package verify

import (
	"bufio"
	"bytes"
	"context"

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
	if err := o.check.fetch(ctx, r, r.missing(at, at.Len())); err != nil {
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

// server is the name of the source of the byte at off.
func (o overlay) server(off int64) string {
	at := segment.Range{Start: off, End: off + 1}
	for r, set := range o.used {
		if len(set.Within(at)) > 0 {
			return r.name()
		}
	}
	for _, run := range o.check.blob.Runs() {
		if run.Contains(at) {
			return run.Source
		}
	}
	return ""
}

// Wait implements Content.
func (o overlay) Wait(ctx context.Context, off int64) error {
	for _, set := range o.used {
		if len(set.Within(segment.Range{Start: off, End: off + 1})) > 0 {
			return nil
		}
	}
	return o.check.blob.Wait(ctx, off)
}

// Read implements Content.
func (o overlay) Read(off int64, buf []byte) (int, error) {
	next := off + MaxRun
	for r, set := range o.used {
		parts := set.Within(segment.Range{Start: off, End: next})
		if len(parts) == 0 {
			continue
		}
		if parts[0].Start == off {
			return r.read(off, buf[:parts[0].Len()])
		}
		next = parts[0].Start
	}
	n, err := o.check.blob.Read(off, buf)
	return int(min(int64(n), next-off)), err
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

// differs reports whether two overlays differ in r.
func (o overlay) differs(ctx context.Context, other overlay, r segment.Range) (differs bool, err error) {
	err = eachWindow(ctx, r, func(r segment.Range) error {
		if differs {
			return nil
		}
		a, err := readRange(o, r)
		if err != nil {
			return err
		}
		b, err := readRange(other, r)
		differs = a != nil && b != nil && !bytes.Equal(a, b)
		return err
	})
	return differs, err
}

// difference is bytes that are others on disk than in an overlay.
type difference struct {
	at      segment.Range
	stored  []byte   // on disk
	source  string   // of these
	bytes   []byte   // in the overlay
	replica *replica // of these
}

// differences calls fn for the bytes of r that are others on disk. fn may
// replace them.
func (o overlay) differences(ctx context.Context, r segment.Range, fn func(difference) error) error {
	for _, run := range o.check.blob.Runs() {
		for rep, set := range o.used {
			for _, part := range set.Within(run.Intersect(r)) {
				err := eachWindow(ctx, part, func(at segment.Range) error {
					stored, err := readRange(o.check.blob, at)
					if err != nil || stored == nil {
						return err
					}
					p, err := readRange(o, at)
					if err != nil || bytes.Equal(stored, p) {
						return err
					}
					return fn(difference{at, stored, run.Source, p, rep})
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// eachWindow calls fn for r, a window at a time.
func eachWindow(ctx context.Context, r segment.Range, fn func(segment.Range) error) error {
	for ; !r.Empty(); r.Start += window {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fn(segment.Range{Start: r.Start, End: min(r.Start+window, r.End)}); err != nil {
			return err
		}
	}
	return nil
}

// prove reports whether the blob is right with this overlay, and if so applies
// it.
func (o overlay) prove(ctx context.Context) (right bool, err error) {
	err = new(Frontier).Blob(ctx, o, o.check.blob.Digest(), o.check.blob.Size())
	if mismatched(err) {
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
	err := o.differences(ctx, c.whole(), func(d difference) error {
		c.search.exclude(d.source, "%s is right with bytes %v from %s instead", c.blob.Digest(), d.at, d.replica.name())
		return c.blob.Replace(d.at.Start, d.bytes, d.replica.index)
	})
	if err != nil {
		return err
	}
	for _, r := range c.replicas {
		err := c.as(r, c.whole()).differences(ctx, c.whole(), func(d difference) error {
			c.search.exclude(r.name(), "it sent other bytes %v of %s, which is right without them", d.at, c.blob.Digest())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
