package segpull

import (
	"bytes"
	"context"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/verify"
)

// window is how much is compared at once.
const window = 64 << 10

// version is a blob as it might be: as it is on disk, but where somebody
// else's word is taken.
type version struct {
	*hearing
	taken map[*word]*segment.Set
}

func (h *hearing) onDisk() version { return version{h, make(map[*word]*segment.Set)} }

func (v version) clone() version {
	c := v.onDisk()
	for w, set := range v.taken {
		c.taken[w] = new(segment.Set)
		for _, r := range set.Ranges() {
			c.taken[w].Add(r)
		}
	}
	return c
}

// take takes w's word for the bytes of r. Where it was not heard, what is on
// disk is its own.
func (v version) take(w *word, r segment.Range) {
	for _, set := range v.taken {
		set.Remove(r)
	}
	if v.taken[w] == nil {
		v.taken[w] = new(segment.Set)
	}
	for _, heard := range w.heard.Within(r) {
		v.taken[w].Add(heard)
	}
}

// source is who the byte at off is from.
func (v version) source(off int64) string {
	at := segment.Range{Start: off, End: off + 1}
	for w, set := range v.taken {
		if len(set.Within(at)) > 0 {
			return w.Name()
		}
	}
	for _, run := range v.blob.Runs() {
		if run.Contains(at) {
			return run.Source
		}
	}
	return ""
}

// Wait implements verify.Content.
func (v version) Wait(ctx context.Context, off int64) error {
	for _, set := range v.taken {
		if len(set.Within(segment.Range{Start: off, End: off + 1})) > 0 {
			return nil
		}
	}
	return v.blob.Wait(ctx, off)
}

// Read implements verify.Content.
func (v version) Read(off int64, buf []byte) (int, error) {
	next := off + verify.MaxRun
	for w, set := range v.taken {
		parts := set.Within(segment.Range{Start: off, End: next})
		if len(parts) == 0 {
			continue
		}
		if parts[0].Start == off {
			return w.read(off, buf[:parts[0].Len()])
		}
		next = parts[0].Start
	}
	n, err := v.blob.Read(off, buf)
	return int(min(int64(n), next-off)), err
}

// bytes reads all of r, of at most a window. It is nil where the disk has
// damaged some: that is nobody's lie.
func (v version) bytes(r segment.Range) (p []byte, err error) {
	for at := r.Start; at < r.End; {
		n, err := v.Read(at, v.buf)
		if n == 0 || err != nil {
			return nil, err
		}
		n = int(min(int64(n), r.End-at))
		p = append(p, v.buf[:n]...)
		at += int64(n)
	}
	return p, nil
}

// prove says whether the blob is right in this version, and if so settles it.
func (v version) prove(ctx context.Context) (right bool, err error) {
	err = v.frontiers[v.index].Blob(ctx, v, v.digest(), v.blob.Size())
	if mismatched(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, v.settle(ctx)
}

// differs says whether two versions of r differ.
func (v version) differs(ctx context.Context, other version, r segment.Range) (differs bool, err error) {
	err = eachWindow(ctx, r, func(r segment.Range) error {
		if differs {
			return nil
		}
		a, err := v.bytes(r)
		if err != nil {
			return err
		}
		b, err := other.bytes(r)
		differs = a != nil && b != nil && !bytes.Equal(a, b)
		return err
	})
	return differs, err
}

// dissent is bytes that a source served otherwise than w says.
type dissent struct {
	source string
	theirs []byte
	word   *word
	at     int64
	ours   []byte
}

func (d dissent) where() segment.Range {
	return segment.Range{Start: d.at, End: d.at + int64(len(d.ours))}
}

// dissents calls fn for the bytes of r that somebody served otherwise than v
// has them. fn may replace them.
func (v version) dissents(ctx context.Context, r segment.Range, fn func(dissent) error) error {
	disk := v.onDisk()
	for _, run := range v.blob.Runs() {
		err := v.eachTaken(ctx, run.Intersect(r), func(w *word, r segment.Range) error {
			theirs, err := disk.bytes(r)
			if err != nil || theirs == nil {
				return err
			}
			ours, err := v.bytes(r)
			if err != nil || bytes.Equal(theirs, ours) {
				return err
			}
			return fn(dissent{run.Source, theirs, w, r.Start, ours})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachTaken calls fn for what of r is not as on disk, a window at a time.
func (v version) eachTaken(ctx context.Context, r segment.Range, fn func(*word, segment.Range) error) error {
	for w, set := range v.taken {
		for _, part := range set.Within(r) {
			if err := eachWindow(ctx, part, func(r segment.Range) error { return fn(w, r) }); err != nil {
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

// settle is called when v has turned out right. It puts its bytes in the place
// of wrong ones, and convicts whoever said something else.
func (v version) settle(ctx context.Context) error {
	for _, w := range v.words {
		if err := v.refute(ctx, w); err != nil {
			return err
		}
	}
	return v.dissents(ctx, v.whole(), func(d dissent) error {
		v.convict(d.source, "%s is right with bytes %v from %s instead", v.digest(), d.where(), d.word.Name())
		return v.blob.Replace(d.at, d.ours, v.peerNamed(d.word.Name()))
	})
}

// refute convicts w if it said something else than v, which is right.
func (v version) refute(ctx context.Context, w *word) error {
	said := v.onDisk()
	said.take(w, v.whole())
	return said.eachTaken(ctx, v.whole(), func(_ *word, r segment.Range) error {
		wrong, err := said.differs(ctx, v, r)
		if wrong {
			v.convict(w.Name(), "it sent other bytes %v of %s, which is right without them", r, v.digest())
		}
		return err
	})
}
