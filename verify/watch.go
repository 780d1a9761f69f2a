package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/segpull/segpull/internal/layer"
	"github.com/segpull/segpull/segment"
)

const (
	// leastWatched is the smallest blob that is watched: of a smaller one, all
	// is on its way before anything shows.
	leastWatched = 1 << 20

	// mostBehind is how many bytes a watch may lag behind the sources. Where
	// they are faster than decompression, bytes are cheap, and time is not.
	mostBehind = 16 << 20

	// mostCompared is the part of a blob, as a divisor, that two sources are
	// asked for to see which of them is sound.
	mostCompared = 4

	// leastStarts is the smallest blob of which all sources are asked for the
	// start: the answers cost nothing beside it.
	leastStarts = 4 << 20
	// startSize is how much of it they are asked for.
	startSize = 16 << 10
)

// watch looks at a layer while it arrives, so that a fast corrupt source does
// not serve most of it. What it finds proves nothing, and excludes no source: a
// suspect is left alone until the blob is verified.
type watch struct{ check *check }

// watched reports whether there are other sources to compare with, and time for
// it.
func (w *watch) watched() bool {
	b := w.check.blob
	return len(w.check.replicas) > 1 && b.Size() >= leastWatched && b.Prefix() < b.Size()
}

// stream decompresses the layer. Where it breaks, the sources are compared, and
// the one whose bytes broke it is a suspect.
func (w *watch) stream(ctx context.Context) {
	c := w.check
	if !w.watched() || c.blob.Wait(ctx, 0) != nil || acquire(ctx, c.search.watchers) != nil {
		return
	}
	defer func() { <-c.search.watchers }()
	at, err := findBreak(ctx, timely{c.blob}, c.blob.Size(), c.blob.Size())
	if err != nil || at == layer.Unbroken {
		return
	}
	w.unlessKnown(func() {
		if r, breaker, err := w.compare(ctx, at); breaker != nil && err == nil {
			w.suspectOne(ctx, r, breaker, at, breaker)
		}
	})
}

// starts asks all sources for the start of a large blob. Where one differs from
// what is on disk, the stream need not arrive up to the wrong bytes of either.
func (w *watch) starts(ctx context.Context) {
	c := w.check
	if c.blob.Size() < leastStarts || !w.watched() || c.blob.Wait(ctx, startSize-1) != nil {
		return
	}
	start, err := readRange(c.blob, segment.Range{End: startSize})
	server := c.search.sourceNamed(c.stored().origin(0))
	if err != nil || start == nil || server < 0 { // damaged, or of an earlier run
		return
	}
	var questions sync.WaitGroup
	for k, r := range c.replicas {
		if k != server && c.search.sound(k) {
			questions.Go(func() { w.start(ctx, r, c.replicas[server], start) })
		}
	}
	questions.Wait()
}

func (w *watch) start(ctx context.Context, r, server *replica, start []byte) {
	got, err := w.check.search.ask(ctx, r.source, w.check.index, segment.Range{End: startSize})
	if err != nil || bytes.Equal(got, start) {
		return
	}
	w.unlessKnown(func() { w.suspectOne(ctx, r, server, startSize, nil) })
}

// unlessKnown calls fn if there is no suspect yet, and no blob is being
// searched.
func (w *watch) unlessKnown(fn func()) {
	if !tryAcquire(w.check.search.turn) {
		return
	}
	defer func() { <-w.check.search.turn }()
	if len(w.check.suspects) == 0 {
		w.check.begin()
		fn()
	}
}

// compare looks for a source with whose bytes the layer goes on beyond a break,
// and for the breaker, whose bytes differ from these; nil if that served them in
// an earlier run. The source of the byte before the break is asked last.
func (w *watch) compare(ctx context.Context, at int64) (r, breaker *replica, err error) {
	c := w.check
	around := segment.Range{Start: max(0, at-firstBack), End: min(at+window, c.blob.Size())}
	server := c.stored().origin(max(0, at-1))
	others := c.candidates()
	slices.SortStableFunc(others, func(a, b *replica) int {
		return cmp.Compare(last(a.name() == server), last(b.name() == server))
	})
	for _, r := range others {
		o, err := c.with(ctx, r, around)
		if unavailable(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if differs, err := o.differs(ctx, c.stored(), around); !differs || err != nil {
			return nil, nil, err // two have the same: the blob is no layer
		}
		next, err := o.findBreak(ctx, around.End)
		if err != nil {
			return nil, nil, err
		}
		if next > at {
			err := o.differences(ctx, around, func(d difference) error {
				if k := c.search.sourceNamed(d.source); k >= 0 {
					breaker = c.replicas[k]
				}
				return nil
			})
			return r, breaker, err
		}
	}
	return nil, nil, nil
}

// last sorts what it is true of to the end.
func last(isLast bool) int {
	if isLast {
		return 1
	}
	return 0
}

// suspectOne suspects one of two sources, by what they have of the bytes up to
// at and a little beyond. Until that is known, it is b, but not the one that
// resolved the tag.
func (w *watch) suspectOne(ctx context.Context, a, b *replica, at int64, otherwise *replica) {
	c := w.check
	first := b
	if b.name() == c.search.opts.Resolver {
		first = a
	}
	w.suspect(first)
	if last := w.unsound(ctx, a, b, at, otherwise); last != first && ctx.Err() == nil {
		c.clearSuspects()
		if last != nil {
			w.suspect(last)
		}
	}
	if len(c.suspects) == 0 {
		c.release()
	}
}

func (w *watch) suspect(r *replica) {
	c := w.check
	c.suspects = append(c.suspects, r.index)
	c.search.suspect(r.index)
	c.hold()
	c.search.opts.Report.Suspect(r.name(), fmt.Sprintf("its bytes of %s seem to be wrong, so others are asked until that is clear", c.blob.Digest()))
}

// unsound compares two sources that have different bytes from the blob's start
// on: what either served breaks where the other's begins. It returns the one
// that has no sound start of a layer; nil if neither has. If both have one, the
// blob's digest alone can tell, and the one that resolved the tag is trusted. If
// they do not differ at the start, it returns otherwise, which may be nil.
func (w *watch) unsound(ctx context.Context, a, b *replica, at int64, otherwise *replica) *replica {
	size := w.check.blob.Size()
	as, bs, err := w.both(ctx, a, b, segment.Range{End: min(window, at)})
	if err != nil {
		return otherwise
	}
	if differ, err := as.differs(ctx, bs, segment.Range{End: min(window, at)}); !differ || err != nil {
		return otherwise
	}
	start := segment.Range{End: min(at+window, size)}
	if start.End > size/mostCompared {
		return nil
	}
	if as, bs, err = w.both(ctx, a, b, start); err != nil {
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
	case !soundA, soundB && b.name() == w.check.search.opts.Resolver:
		return a
	}
	return b
}

// both is the blob with bytes of each of two sources in r, once all of these
// have arrived from any source.
func (w *watch) both(ctx context.Context, a, b *replica, r segment.Range) (as, bs overlay, err error) {
	if err := w.check.blob.Wait(ctx, r.End-1); err != nil {
		return as, bs, err
	}
	if as, err = w.check.with(ctx, a, r); err == nil {
		bs, err = w.check.with(ctx, b, r)
	}
	return as, bs, err
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
