package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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

// watch compares the starts of the layer that sources send, and decompresses the
// layer. Where it breaks, the source whose bytes broke it is the suspect, unless
// a start has shown one: where bytes of two layers meet, the stream breaks
// whoever is right.
func (c *check) watch(ctx context.Context) {
	size := c.blob.Size()
	if len(c.replicas) == 1 || size < leastWatched || c.blob.Prefix() == size || c.search.opts.Scheduler.Assigned(c.index) || c.blob.Wait(ctx, startSize-1) != nil {
		return
	}
	var starts sync.WaitGroup
	starts.Go(func() { c.watchStarts(ctx) })
	at, err := c.watchStream(ctx)
	starts.Wait()
	if err != nil || at < startSize || at == layer.Unbroken {
		return
	}
	c.suspectOne(func() *replica {
		over := c.stored()
		_, wrong, _ := c.mend(ctx, &over, at, window, at+window)
		return wrong
	})
}

// watchStream returns where the layer breaks.
func (c *check) watchStream(ctx context.Context) (int64, error) {
	if err := c.search.watchers.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	defer c.search.watchers.Release(1)
	return findBreak(ctx, timely{c.blob}, c.blob.Size(), c.blob.Size())
}

// watchStarts asks all sources for the start of the layer. Where one differs
// from what is on disk, the stream need not arrive up to the wrong bytes of
// either.
func (c *check) watchStarts(ctx context.Context) {
	at := segment.Range{End: startSize}
	start, err := readRange(c.blob, at)
	runs := c.blob.Runs()
	k := slices.IndexFunc(runs, func(run Run) bool { return run.Contains(at) })
	if err != nil || start == nil || k < 0 {
		return
	}
	server := c.replicaOf(runs[k].Source)
	served := func(r *replica) bool { return r == server }
	c.askAll(ctx, start, served, func(r *replica, got []byte, same bool) {
		if same {
			return
		}
		c.suspectOne(func() *replica {
			trusted := c.soundStart(start)
			if trusted == c.soundStart(got) { // only the digest can tell
				trusted = runs[k].Source == c.search.opts.Resolver
			}
			if trusted {
				return r
			}
			return server
		})
	})
}

// soundStart reports whether a layer may begin with these bytes.
func (c *check) soundStart(p []byte) bool {
	at, err := layer.FindBreak(bytes.NewReader(p), c.blob.Size())
	return err == nil && at == layer.Unbroken
}

// suspectOne makes a source the suspect that find returns, if there is none yet,
// and no blob is being searched. find may take a while, in which a fast corrupt
// source could serve much of later blobs.
func (c *check) suspectOne(find func() *replica) {
	if !c.search.turn.TryAcquire(1) {
		return
	}
	defer c.search.turn.Release(1)
	if c.suspect != nil {
		return
	}
	c.hold()
	if c.suspect = find(); c.suspect == nil {
		c.end()
		return
	}
	c.doubt.Store(true)
	name := c.suspect.name()
	c.suspect.doubted = true
	c.search.suspect(c.suspect.source, 1)
	c.search.opts.Report.Suspect(name, fmt.Sprintf("its bytes of %s seem to be wrong, so segpull asks other sources until that is clear", c.blob.Digest()))
}

// timely is a blob that is read while it arrives, and not long after.
type timely struct{ Blob }

var errBehind = errors.New("the sources are faster")

// Read implements Content.
func (t timely) Read(off int64, buf []byte) (int, error) {
	if t.Blob.Prefix()-off > mostBehind {
		return 0, errBehind
	}
	return t.Blob.Read(off, buf)
}
