package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
)

const (
	// headersAfter is how long the headers of a blob wait for its first byte: until then
	// the answer may still be that no source can be reached.
	headersAfter = 700 * time.Millisecond
	// lookInterval is how often that is looked at.
	lookInterval = 5 * time.Millisecond
)

// serveBlob answers a request for a blob.
func (h *Handler) serveBlob(w *response, r *http.Request, ref image.Reference) origin {
	ctx := r.Context()
	switch f, err := h.opts.Cache.Open(ctx, ref.Digest); {
	case err == nil:
		defer f.Close()
		h.setBlobHeaders(w, ref)
		http.ServeContent(w, r, "", time.Time{}, f)
		return found
	case !absent(err):
		h.opts.Log.Error("cannot read the cache", "digest", ref.Digest, "error", err)
	}
	if h.opts.Offline {
		fail(w, http.StatusNotFound, codeBlobUnknown, errOffline)
		return missed
	}
	blob, err := h.describe(ctx, ref)
	if err != nil {
		failUpstream(w, codeBlobUnknown, err)
		return missed
	}
	if r.Method == http.MethodHead {
		h.setBlobHeaders(w, ref)
		w.Header().Set("Content-Length", strconv.FormatInt(blob.Size, 10))
		w.WriteHeader(http.StatusOK)
		return missed
	}
	asked, part, ok := parseRange(rangeOf(r, ref), blob.Size)
	if !ok {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", blob.Size))
		fail(w, http.StatusRequestedRangeNotSatisfiable, codeBlobUnknown, fmt.Errorf("the blob has %d bytes", blob.Size))
		return missed
	}
	d, began, err := h.join(ref, blob, viaOf(ctx))
	if err != nil {
		fail(w, http.StatusServiceUnavailable, codeBlobUnknown, err)
		return missed
	}
	defer h.leave(d)
	h.serveDownload(w, r, d, asked, part)
	if began {
		return missed
	}
	return shared
}

func (h *Handler) setBlobHeaders(w *response, ref image.Reference) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", ref.Digest.String())
	w.Header().Set("Etag", entityTag(ref))
	w.Header().Set("Accept-Ranges", "bytes")
}

func entityTag(ref image.Reference) string { return strconv.Quote(ref.Digest.String()) }

// rangeOf returns the Range header, unless it is for another blob (RFC 9110, section
// 13.1.5).
func rangeOf(r *http.Request, ref image.Reference) string {
	if tag := r.Header.Get("If-Range"); tag != "" && tag != entityTag(ref) {
		return ""
	}
	return r.Header.Get("Range")
}

// serveDownload sends a range of a blob while it is being fetched. A client that cannot
// get all of it is cut off, so that it takes nothing for complete.
func (h *Handler) serveDownload(w *response, r *http.Request, d *download, asked segment.Range, part bool) {
	ctx, stop := d.limitPeer(r.Context(), w)
	defer stop()
	f, err := h.opts.Cache.Follow(d.blob)
	if err == nil {
		defer f.Close()
		err = d.promising(ctx, f, asked.Start)
	}
	if err != nil {
		failUpstream(w, codeBlobUnknown, err)
		return
	}
	h.setBlobHeaders(w, d.ref)
	w.Header().Set("Content-Length", strconv.FormatInt(asked.Len(), 10))
	status := http.StatusOK
	if part {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", asked.Start, asked.End-1, d.blob.Size))
	}
	w.WriteHeader(status)
	w.flush()
	if err := h.send(ctx, w, d, f, asked); err != nil {
		if !gone(ctx) && !w.reset { // a reset may show before ctx ends
			h.opts.Log.Warn("a client was cut off", "image", d.ref.Name(), "digest", d.blob.Digest, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
}

// send sends bytes of a download as they arrive, or once it has ended.
func (h *Handler) send(ctx context.Context, w *response, d *download, f *state.Follower, asked segment.Range) error {
	if h.opts.VerifiedOnly {
		return h.sendVerified(ctx, flushed{w}, d, asked)
	}
	rest, err := d.follow(ctx, flushed{w}, f, asked)
	if err != nil || rest.left == asked.Len() {
		return err
	}
	select {
	case <-d.started:
		return d.transfer.Send(ctx, rest, d.index, asked)
	default: // another process has fetched it
		return h.sendVerified(ctx, rest, d, asked)
	}
}

// sendVerified sends bytes of a download when it has ended.
func (h *Handler) sendVerified(ctx context.Context, w io.Writer, d *download, asked segment.Range) error {
	select {
	case <-d.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.err != nil {
		return d.err
	}
	f, err := h.opts.Cache.Open(ctx, d.blob.Digest)
	switch {
	case absent(err) && d.transfer != nil: // it is larger than the cache
		return d.transfer.Send(ctx, w, d.index, asked)
	case err != nil:
		return err
	}
	defer f.Close()
	return copyRange(w, f, asked)
}

func copyRange(w io.Writer, f *os.File, r segment.Range) error {
	if _, err := f.Seek(r.Start, io.SeekStart); err != nil {
		return err
	}
	_, err := io.CopyN(w, f, r.Len())
	return err
}

// promising returns nil when the byte at off has arrived, or if it may still do so after a
// while. Otherwise the error says why the blob cannot be had.
func (d *download) promising(ctx context.Context, f *state.Follower, off int64) error {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for until := time.Now().Add(headersAfter); time.Now().Before(until) && !d.arrived(f, off); {
		select {
		case <-d.ended:
			return d.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
		}
	}
	return d.unreachable()
}

// arrived reports whether a byte is there, perhaps by another process.
func (d *download) arrived(f *state.Follower, off int64) bool {
	select {
	case <-d.started:
		return d.transfer.Arrived(d.index, off)
	default:
		arrived, err := f.Arrived(off)
		return arrived && err == nil
	}
}

// unreachable returns the errors of the sources if each of them has failed, and none has
// sent anything.
func (d *download) unreachable() error {
	select {
	case <-d.started:
	default:
		return nil
	}
	if d.shared {
		return nil
	}
	var failures []error
	for _, s := range d.transfer.Sources() {
		if s.Shared {
			continue
		}
		if s.Failure == nil || s.Bytes > 0 {
			return nil
		}
		failures = append(failures, s.Failure)
	}
	return errors.Join(failures...)
}
