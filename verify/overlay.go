package verify

import (
	"bytes"
	"context"
	"io"

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

// with is the blob as on disk, but with ranges as r has them, which it fetches.
func (c *check) with(ctx context.Context, r *replica, at segment.Range) (overlay, error) {
	o := c.stored()
	if err := c.fetch(ctx, r, r.missing(at, at.Len())); err != nil {
		return o, err
	}
	o.use(r, at)
	return o, nil
}

func (o overlay) clone() overlay {
	c := o.check.stored()
	for r, set := range o.used {
		c.used[r] = new(segment.Set)
		for _, part := range set.Ranges() {
			c.used[r].Add(part)
		}
	}
	return c
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

// origin is the name of the source that the byte at off is from.
func (o overlay) origin(off int64) string {
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

// findBreak returns where the layer breaks, as far as it goes up to end.
func (o overlay) findBreak(ctx context.Context, end int64) (int64, error) {
	return findBreak(ctx, o, o.check.blob.Size(), end)
}

func findBreak(ctx context.Context, src Content, size, end int64) (int64, error) {
	r := &reader{ctx: ctx, src: src, end: end, atEnd: io.EOF, buf: make([]byte, MaxRun)}
	if end < size {
		r.atEnd = layer.ErrCut
	}
	return layer.FindBreak(r, size)
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
	source  string   // of those on disk
	stored  []byte   // as on disk
	replica *replica // of those in the overlay
	bytes   []byte   // as in the overlay
	at      int64
}

func (d difference) where() segment.Range {
	return segment.Range{Start: d.at, End: d.at + int64(len(d.bytes))}
}

// differences calls fn for the bytes of r that are others on disk. fn may
// replace them.
func (o overlay) differences(ctx context.Context, r segment.Range, fn func(difference) error) error {
	for _, run := range o.check.blob.Runs() {
		err := o.eachUsed(ctx, run.Intersect(r), func(rep *replica, r segment.Range) error {
			stored, err := readRange(o.check.blob, r)
			if err != nil || stored == nil {
				return err
			}
			p, err := readRange(o, r)
			if err != nil || bytes.Equal(stored, p) {
				return err
			}
			return fn(difference{run.Source, stored, rep, p, r.Start})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachUsed calls fn for what of r is not as on disk, a window at a time.
func (o overlay) eachUsed(ctx context.Context, r segment.Range, fn func(*replica, segment.Range) error) error {
	for rep, set := range o.used {
		for _, part := range set.Within(r) {
			if err := eachWindow(ctx, part, func(r segment.Range) error { return fn(rep, r) }); err != nil {
				return err
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

// apply is called when the overlay has the right digest. It writes the bytes of
// the overlay over the wrong ones, and excludes whoever sent something else.
func (o overlay) apply(ctx context.Context) error {
	for _, r := range o.check.replicas {
		if err := o.refute(ctx, r); err != nil {
			return err
		}
	}
	return o.differences(ctx, o.check.whole(), func(d difference) error {
		o.check.search.exclude(d.source, "%s is right with bytes %v from %s instead", o.check.blob.Digest(), d.where(), d.replica.name())
		return o.check.blob.Replace(d.at, d.bytes, d.replica.index)
	})
}

// refute excludes a source if it sent something else than the overlay, which is
// right.
func (o overlay) refute(ctx context.Context, r *replica) error {
	sent := o.check.stored()
	sent.use(r, o.check.whole())
	return sent.eachUsed(ctx, o.check.whole(), func(_ *replica, at segment.Range) error {
		wrong, err := sent.differs(ctx, o, at)
		if wrong {
			o.check.search.exclude(r.name(), "it sent other bytes %v of %s, which is right without them", at, o.check.blob.Digest())
		}
		return err
	})
}
