package serve

import (
	"context"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/transfer"
)

const (
	// transferLasts is how long a transfer is kept that has nothing to fetch, unless another
	// one has to wait for it: engines ask for the layers of an image a few at a time.
	transferLasts = 10 * time.Second
	// mostTransfers is how many run at once: each has up to 24 MiB of blocks.
	mostTransfers = 8
)

// repository fetches blobs of one repository by one transfer: a source may refuse another
// repository, and counts as lost for its transfer then.
type repository struct {
	name     string
	key      string // in Handler.repositories
	transfer *transfer.Transfer
	sources  []string
	stop     context.CancelFunc

	// Handler.mu guards what follows.
	users     int
	idle      *time.Timer
	idleSince time.Time
	ended     bool
}

// enter returns the repository of a reference, with a running transfer for requests that
// came the same way. Call exit.
func (h *Handler) enter(ref image.Reference, via string) (*repository, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := ref.Name() + " " + via
	if r := h.repositories[key]; r != nil && !r.ended {
		r.users++
		if r.idle != nil {
			r.idle.Stop()
		}
		return r, nil
	}
	t, sources, err := h.opts.Upstream.Transfer(ref)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(h.withVia(h.lifetime, via))
	r := &repository{name: ref.Name(), key: key, transfer: t, sources: sources, stop: stop, users: 1}
	h.repositories[key] = r
	h.running.Go(func() { h.runTransfer(ctx, r) })
	if h.transferWaits() {
		h.endIdle()
	}
	return r, nil
}

// transferWaits reports whether there are more transfers than may run.
func (h *Handler) transferWaits() bool {
	running := 0
	for _, r := range h.repositories {
		if !r.ended {
			running++
		}
	}
	return running > mostTransfers
}

// endIdle ends the transfer that nothing has used for the longest time, if there is one.
func (h *Handler) endIdle() {
	var longest *repository
	for _, r := range h.repositories {
		if r.users == 0 && !r.ended && (longest == nil || r.idleSince.Before(longest.idleSince)) {
			longest = r
		}
	}
	if longest != nil {
		longest.end()
	}
}

// end ends the transfer, which nothing uses.
func (r *repository) end() {
	r.ended = true
	r.stop()
}

// runTransfer runs the transfer of a repository until nothing has used it for a while, or
// it fails.
func (h *Handler) runTransfer(ctx context.Context, r *repository) {
	defer r.stop()
	var err error
	select {
	case h.transfers <- struct{}{}:
		err = r.transfer.Run(ctx)
		<-h.transfers
	case <-ctx.Done():
		err = r.transfer.Run(ctx) // ends at once, and with it what was added
	}
	if ctx.Err() == nil {
		h.opts.Log.Warn("fetching has failed", "image", r.name, "error", err)
	}
	h.opts.Upstream.Ended(r.transfer)
	h.mu.Lock()
	defer h.mu.Unlock()
	r.ended = true
	if h.repositories[r.key] == r {
		delete(h.repositories, r.key)
	}
}

// exit is called when a download does not need a repository any more.
func (h *Handler) exit(r *repository) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.users--; r.users > 0 {
		return
	}
	if h.transferWaits() {
		r.end()
		return
	}
	r.idleSince = time.Now()
	r.idle = time.AfterFunc(transferLasts, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.users == 0 {
			r.end()
		}
	})
}
