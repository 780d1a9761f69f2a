package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/transfer"
	"github.com/segpull/segpull/verify"
)

// mostUnavailable bounds what is remembered of blobs that no source had.
const mostUnavailable = 1000

var (
	errPaused = errors.New("no client waits for the blob any more")
	errClosed = errors.New("the server is shutting down")
)

// download is a blob that is being fetched into the cache.
type download struct {
	ref  image.Reference // whose repository has the blob
	blob ocispec.Descriptor
	via  string // of the request that began it
	stop context.CancelCauseFunc

	started chan struct{} // closed when transfer, index, part and shared are set
	ended   chan struct{} // closed when the cache has the blob, or err is set
	err     error

	transfer *transfer.Transfer
	index    int // of the blob in it
	part     *cache.Part
	shared   bool // the bucket has it

	// Handler.mu guards what follows.
	clients int
	idle    *time.Timer // pauses the download; nil while there are clients
	paused  bool
	over    bool // run has returned
}

// begin reports whether the handler is open, and if so adds to running.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.running.Add(1)
	}
	return !h.closed
}

// join returns the download of a blob, which it begins if there is none. Call leave.
func (h *Handler) join(ref image.Reference, blob ocispec.Descriptor, via string) (d *download, began bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false, errClosed
	}
	if d := h.downloads[blob.Digest]; d != nil && !d.paused {
		d.clients++
		if d.idle != nil {
			d.idle.Stop()
			d.idle = nil
		}
		return d, false, nil
	}
	ctx, stop := context.WithCancelCause(h.lifetime)
	d = &download{ref: ref, blob: blob, via: via, stop: stop, clients: 1, started: make(chan struct{}), ended: make(chan struct{})}
	h.downloads[blob.Digest] = d
	h.running.Go(func() { h.run(ctx, d) })
	return d, true, nil
}

// leave is called when a client does not use a download any more.
func (h *Handler) leave(d *download) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.clients--; d.clients > 0 {
		return
	}
	if d.over {
		h.release(d)
		return
	}
	d.idle = time.AfterFunc(h.opts.PauseAfter, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if d.clients == 0 {
			d.paused = true
			d.stop(errPaused)
		}
	})
}

// release closes the part of a download that has ended and has no clients.
func (h *Handler) release(d *download) {
	if d.part != nil {
		d.part.Close()
		d.part = nil
	}
}

// run fetches a blob into the cache.
func (h *Handler) run(ctx context.Context, d *download) {
	defer d.stop(nil)
	err := h.fetch(ctx, d)
	_, hopeless := errors.AsType[*segment.HopelessError](err)
	switch {
	case err == nil:
		h.opts.Log.Debug("fetched the blob", "digest", d.blob.Digest, "size", d.blob.Size)
	case ctx.Err() == nil:
		h.opts.Log.Warn("cannot fetch the blob", "image", d.ref.Name(), "digest", d.blob.Digest, "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d.err, d.over = err, true
	close(d.ended)
	if h.downloads[d.blob.Digest] == d {
		delete(h.downloads, d.blob.Digest)
	}
	if d.idle != nil {
		d.idle.Stop()
	}
	if d.clients == 0 {
		h.release(d)
	}
	if hopeless {
		h.setUnavailable(d.blob.Digest)
	} else {
		delete(h.unavailable, d.blob.Digest)
	}
}

func (h *Handler) setUnavailable(d digest.Digest) {
	if len(h.unavailable) >= mostUnavailable {
		clear(h.unavailable)
	}
	h.unavailable[d] = time.Now()
}

// fetch fetches a blob. A transfer may end, since it has failed or had nothing to do, just
// when the blob is added: then there is another.
func (h *Handler) fetch(ctx context.Context, d *download) (err error) {
	if err := h.makeRoom(ctx, d.blob.Size); err != nil {
		return err
	}
	for range 2 {
		r, entered := h.enter(d.ref, d.via)
		if entered != nil {
			return entered
		}
		err = h.fetchBy(ctx, r, d)
		h.exit(r)
		if d.transfer != nil || !errors.Is(err, transfer.ErrEnded) {
			break
		}
	}
	return err
}

func (h *Handler) fetchBy(ctx context.Context, r *repository, d *download) error {
	part, err := h.opts.Cache.Begin(ctx, d.blob, r.sources, segment.DefaultGiveUp)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if own, free, known := part.Store().Space(); known && free < own {
		part.Close()
		return fmt.Errorf("blob %s needs %d bytes, and the disk of the cache %s has %d: %w", d.blob.Digest, own, h.opts.Cache.Dir(), free, syscall.ENOSPC)
	}
	turn := h.opts.Bucket.Begin(ctx, d.blob, h.waitForOther())
	defer turn.End()
	add := r.transfer.Add
	if turn.Found() {
		add = r.transfer.AddShared
	}
	index, err := add([]ocispec.Descriptor{d.blob}, part.Store())
	if err != nil {
		part.Close()
		return err
	}
	turn.OnFound(func() { r.transfer.Assign(index) })
	d.part, d.transfer, d.index, d.shared = part, r.transfer, index, turn.Found()
	close(d.started)
	err = r.transfer.Wait(ctx, index)
	r.transfer.End(index)
	if _, wrong := errors.AsType[*verify.MismatchError](err); wrong {
		return errors.Join(err, part.Discard()) // the next download asks for all of it
	}
	if err != nil {
		return err
	}
	if d.blob.Size > h.opts.Cache.Limit() {
		return part.Discard() // its clients can still read it
	}
	if err := part.Commit(h.lifetime); err != nil {
		return err
	}
	turn.Put(func(ctx context.Context) (*os.File, error) { return h.opts.Cache.Open(ctx, d.blob.Digest) })
	return h.makeRoom(h.lifetime, 0)
}

// waitForOther is how long a download waits for another server.
func (h *Handler) waitForOther() time.Duration {
	if h.opts.VerifiedOnly {
		return segment.DefaultGiveUp
	}
	return h.opts.WaitForOther
}

// makeRoom makes room for a blob: what was least recently used leaves the cache, so the
// image that is being pulled does so last. One that is larger than the cache does not
// stay there, so nothing has to leave for it.
func (h *Handler) makeRoom(ctx context.Context, size int64) error {
	if size > h.opts.Cache.Limit() {
		return nil
	}
	evicted, err := h.opts.Cache.Room(ctx, size, "")
	if evicted.Images > 0 || evicted.Blobs > 0 {
		h.metrics.evicted(evicted.Bytes)
		h.opts.Log.Info("made room in the cache", "images", evicted.Images, "blobs", evicted.Blobs, "bytes", evicted.Bytes)
	}
	return err
}
