package segpull

import (
	"bytes"
	"context"
	"sync"

	"github.com/segpull/segpull/segment"
)

const (
	// leastGreeted is the smallest blob of which sources are asked for the
	// start: the answers cost nothing beside it.
	leastGreeted = 4 << 20
	// startSize is how much of it they are asked for.
	startSize = 16 << 10
)

// compareStarts asks all sources for the start of a large blob. Where one
// differs from what is on disk, the watch need not wait until the lies of
// either are reached in order.
func (h *hearing) compareStarts(ctx context.Context) {
	if h.blob.Size() < leastGreeted || !h.watched() || h.blob.Wait(ctx, startSize-1) != nil {
		return
	}
	start := make([]byte, startSize)
	if _, err := h.blob.Section().ReadAt(start, 0); err != nil {
		return
	}
	server := h.peerNamed(h.onDisk().source(0))
	if server < 0 {
		return // of an earlier run
	}
	var questions sync.WaitGroup
	for k, w := range h.words {
		if k != server && !h.liars.has(w.Name()) {
			questions.Go(func() { h.compareStart(ctx, w, h.words[server], start) })
		}
	}
	questions.Wait()
}

func (h *hearing) compareStart(ctx context.Context, w, server *word, start []byte) {
	said, err := h.recall(ctx, w.peer, h.index, segment.Range{End: startSize})
	if err != nil || bytes.Equal(said, start) {
		return
	}
	h.unlessKnown(func() { h.between(ctx, w, server, startSize, nil) })
}
