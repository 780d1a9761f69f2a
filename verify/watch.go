package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/segpull/segpull/internal/layer"
	"github.com/segpull/segpull/segment"
)

const (
	// leastWatched is the smallest blob that is watched, in bytes: of a smaller
	// one, most is on its way before anything shows.
	leastWatched = 4 << 20

	// mostBehind is how many bytes a watch may lag behind the sources. Where
	// they are faster than decompression, bytes are cheap, and time is not.
	mostBehind = 16 << 20

	// startSize is how much of a layer all sources are asked for: little beside
	// the layer.
	startSize = 16 << 10
)

// The watch looks at a layer while it arrives, so that a fast corrupt source
// does not serve most of it. What it finds proves nothing, and excludes no
// source: a suspect is left alone until the blob is verified.

// watched reports whether there are other sources to compare with, and time for
// it.
func (c *check) watched() bool {
	return len(c.replicas) > 1 && c.blob.Size() >= leastWatched && c.blob.Prefix() < c.blob.Size()
}

// watchStream decompresses the layer. Where it breaks, the source whose bytes
// broke it is the suspect.
func (c *check) watchStream(ctx context.Context) {
	if !c.watched() || c.blob.Wait(ctx, 0) != nil || c.search.watchers.Acquire(ctx, 1) != nil {
		return
	}
	defer c.search.watchers.Release(1)
	at, err := findBreak(ctx, timely{c.blob}, c.blob.Size(), c.blob.Size())
	if err != nil || at == layer.Unbroken || at < startSize { // the starts are compared anyway
		return
	}
	c.unlessKnown(func() {
		if r, breaker := c.breaker(ctx, at); breaker != nil {
			c.judge(ctx, r, breaker, breaker)
		}
	})
}

// unlessKnown calls fn if there is no suspect yet, and no blob is being
// searched. fn takes a while, in which a fast corrupt source could serve much of
// later blobs.
func (c *check) unlessKnown(fn func()) {
	if !c.search.turn.TryAcquire(1) {
		return
	}
	defer c.search.turn.Release(1)
	if c.suspect == nil {
		c.begin()
		c.hold()
		fn()
	}
	if c.suspect == nil {
		c.release()
	}
}

// judge suspects one of two sources. Until their starts are compared, it is b,
// unless that resolved the tag; if they can't be, it is otherwise.
func (c *check) judge(ctx context.Context, a, b, otherwise *replica) {
	first := b
	if b.name() == c.search.opts.Resolver {
		first = a
	}
	c.setSuspect(first)
	if r := c.unsound(ctx, a, b, otherwise); r != first && ctx.Err() == nil {
		c.setSuspect(r)
	}
}

// setSuspect replaces the suspect; r may be nil.
func (c *check) setSuspect(r *replica) {
	if c.suspect != nil {
		c.search.suspect(c.suspect.source, -1)
		delete(c.doubted, c.suspect.name())
	}
	if c.suspect = r; r == nil {
		return
	}
	c.search.suspect(r.source, 1)
	c.doubted[r.name()] = true
	c.search.opts.Report.Suspect(r.name(), fmt.Sprintf("its bytes of %s seem to be wrong, so segpull asks other sources until that is clear", c.blob.Digest()))
}

// breaker looks for a source with whose bytes the layer goes on beyond a break,
// and for the one whose bytes differ from these; nil if there is none, or it
// served them in an earlier run.
func (c *check) breaker(ctx context.Context, at int64) (r, breaker *replica) {
	around := segment.Range{Start: max(0, at-lookBack), End: min(at+window, c.blob.Size())}
	for _, r := range c.candidates() {
		o, next, err := c.goesOn(ctx, c.stored(), r, around, around.End)
		if err != nil {
			return nil, nil
		}
		if next <= at {
			continue
		}
		for d, err := range o.differences(ctx, around) {
			if err != nil {
				return nil, nil
			}
			breaker = c.replicaOf(d.source)
		}
		return r, breaker
	}
	return nil, nil
}

// watchStarts asks all sources for the start of the layer. Where one differs
// from what is on disk, the stream need not arrive up to the wrong bytes of
// either.
func (c *check) watchStarts(ctx context.Context) {
	if !c.watched() || c.blob.Wait(ctx, startSize-1) != nil {
		return
	}
	start, err := readRange(c.blob, segment.Range{End: startSize})
	server := c.replicaOf(c.stored().server(0))
	if err != nil || start == nil || server == nil { // damaged, or of an earlier run
		return
	}
	served := func(r *replica) bool { return r == server }
	c.askAll(ctx, start, served, func(r *replica, _ []byte) {
		c.unlessKnown(func() { c.judge(ctx, r, server, nil) })
	})
}

// unsound compares two sources by their starts of the layer. If these are the
// same, or one does not answer, it returns otherwise, which may be nil. Else what
// either served breaks where the other's begins, and it returns the one whose
// start is not that of a layer; nil if neither is. If both are, only the digest
// can tell, and the one that resolved the tag is trusted.
func (c *check) unsound(ctx context.Context, a, b, otherwise *replica) *replica {
	start := segment.Range{End: startSize + window}
	if c.blob.Wait(ctx, start.End-1) != nil {
		return otherwise
	}
	as, errA := c.stored().with(ctx, a, start)
	bs, errB := c.stored().with(ctx, b, start)
	if errA != nil || errB != nil {
		return otherwise
	}
	bytesA, errA := readRange(as, start)
	bytesB, errB := readRange(bs, start)
	if errA == nil && errB == nil && bytes.Equal(bytesA, bytesB) {
		return otherwise
	}
	breakA, errA := as.findBreak(ctx, start.End)
	breakB, errB := bs.findBreak(ctx, start.End)
	soundA, soundB := breakA == layer.Unbroken, breakB == layer.Unbroken
	switch {
	case errA != nil || errB != nil:
		return otherwise
	case !soundA && !soundB:
		return nil
	case !soundA, soundB && b.name() == c.search.opts.Resolver:
		return a
	}
	return b
}

// timely is a blob that is read while it arrives, and not long after.
type timely struct{ blob Blob }

var errBehind = errors.New("the sources are faster")

// Wait implements Content.
func (t timely) Wait(ctx context.Context, off int64) error { return t.blob.Wait(ctx, off) }

// Read implements Content.
func (t timely) Read(off int64, buf []byte) (int, error) {
	if t.blob.Prefix()-off > mostBehind {
		return 0, errBehind
	}
	return t.blob.Read(off, buf)
}
