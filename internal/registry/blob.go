package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"
)

// Stream is a range of a blob that a server sends.
type Stream struct {
	// Body has End-Start bytes, or fails before. Close ends the request at once,
	// without waiting for more bytes.
	Body io.ReadCloser
	// Start and End are the bounds of [Start, End): the requested range, the
	// beginning of it, or the whole blob if the server does not serve the range.
	Start, End int64
}

// Blob requests the bytes [start, end) of blob b, whose Digest, Size and MediaType
// must be set. It returns when the headers have arrived, without a limit of time: a
// proxy may fetch all of the blob before it answers. Each error is an *Error. Of
// the bytes, Blob checks only the number.
//
// If a server refuses ranges, or its answer to one is unusable, Blob requests the
// whole blob, now and from then on. It keeps the URL to which the host redirects for
// each digest; if that is refused later, it asks the host again.
func (c *Client) Blob(ctx context.Context, repository string, b ocispec.Descriptor, start, end int64) (*Stream, error) {
	if err := c.chooseScheme(ctx); err != nil {
		return nil, err
	}
	f := fetch{op: "blob", at: c.endpoint(repository, "blobs", b.Digest.String()), via: c.blobs}
	return c.stream(ctx, f, b, start, end, func(ctx context.Context, f fetch) (reply, error) {
		return c.openRemembered(ctx, f, b.Digest)
	})
}

// rangeMemory records whether to request only whole blobs from a source.
type rangeMemory struct {
	useless atomic.Bool
	turn    *semaphore.Weighted // held by the request that finds it out
}

// errElsewhere ends a request for a range after another request found ranges useless.
var errElsewhere = errors.New("it serves no ranges, and another request fetches a whole blob")

type openFunc func(context.Context, fetch) (reply, error)

// stream requests a range and, if that does not work, the whole blob.
func (c *Client) stream(ctx context.Context, f fetch, b ocispec.Descriptor, start, end int64, open openFunc) (*Stream, error) {
	if start < 0 || end < start || end > b.Size || (start == end && b.Size > 0) {
		return nil, c.fault(f.op, f.at.url, fmt.Errorf("no such range: %d-%d of %d bytes", start, end, b.Size))
	}
	if b.Size == 0 {
		return &Stream{Body: http.NoBody}, nil // a Range header cannot name zero bytes
	}
	if start == 0 && end == b.Size || c.ranges.useless.Load() {
		return c.streamOnce(ctx, f, b, 0, b.Size, open)
	}
	s, err := c.streamOnce(ctx, f, b, start, end, open)
	if err == nil || !rangeMayBeWhy(err) || ctx.Err() != nil {
		return s, err
	}
	// Of several requests that fail at the same time, only one requests the whole blob.
	if c.ranges.turn.Acquire(ctx, 1) != nil {
		return nil, err
	}
	defer c.ranges.turn.Release(1)
	if c.ranges.useless.Load() {
		return nil, c.fault(f.op, f.at.url, errElsewhere)
	}
	whole, wholeErr := c.streamOnce(ctx, f, b, 0, b.Size, open)
	if wholeErr != nil {
		return nil, wholeErr
	}
	if whole.End < b.Size && start > 0 {
		whole.Body.Close()
		return nil, err
	}
	c.ranges.useless.Store(true)
	return whole, nil
}

// streamOnce sends one request; one for the whole blob has no Range.
func (c *Client) streamOnce(ctx context.Context, f fetch, b ocispec.Descriptor, start, end int64, open openFunc) (*Stream, error) {
	f.header = http.Header{"Accept-Encoding": {"identity"}}
	if start != 0 || end != b.Size {
		f.header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	}
	var at *url.URL
	resp, err := within(ctx, 0, func(ctx context.Context) (*http.Response, error) {
		r, err := open(ctx, f)
		at = r.at
		return r.Response, err
	})
	if err != nil {
		return nil, withSize(err, b.Size)
	}
	s, err := newStream(resp, b, start, end)
	if err != nil {
		resp.Body.Close()
		return nil, c.failure(ctx, f.op, at, err)
	}
	return s, nil
}

// withSize adds to a 416 that the source has another size of the blob.
func withSize(err error, size int64) error {
	e, ok := errors.AsType[*Error](err)
	if ok && e.Op != "token" && e.StatusCode == http.StatusRequestedRangeNotSatisfiable && e.size >= 0 && e.size != size {
		e.Err = &sizeError{got: e.size, want: size}
	}
	return err
}

// rangeMayBeWhy reports whether a request may have failed because of its Range: some
// stores refuse ranges, or only those in the middle of a blob, and some proxies
// spoil the answer.
func rangeMayBeWhy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Op == "token" {
		return false
	}
	switch e.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		return true
	}
	return errors.Is(e.Err, errPart)
}

// openRemembered requests the blob directly from the URL of the last redirect.
func (c *Client) openRemembered(ctx context.Context, f fetch, d digest.Digest) (reply, error) {
	at := c.redirects.get(d)
	if at != nil {
		direct := f
		direct.at = *at
		r, err := c.open(ctx, direct)
		if err == nil || !stale(err) {
			return r, err
		}
		c.redirects.forget(d, at)
		if ctx.Err() != nil {
			return r, err
		}
	}
	r, err := c.open(ctx, f)
	if at == nil && c.expired(f, err) {
		r, err = c.open(ctx, f)
	}
	if err == nil && r.at.String() != f.at.url.String() {
		c.redirects.set(d, &place{url: r.at, repository: r.repository, plain: r.plain})
	}
	return r, err
}

// expired reports whether the host that f was redirected to refuses the request: the
// signature may have expired on a machine that was asleep, or slow.
func (c *Client) expired(f fetch, err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Op != "token" && e.Refused() && e.Where != c.where(f.at.url)
}

// stale reports whether err may come from a redirect that is not valid any more: its
// signature has expired, or its server is gone or silent.
func stale(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains([]int{0, 400, 401, 403, 404, 410}, e.StatusCode)
}

// redirects has, for each blob, the URL that served it last. The zero value is
// empty and ready to use. It is safe for concurrent use.
type redirects struct {
	mu sync.Mutex
	at map[digest.Digest]*place
}

// mostRedirects bounds the memory of a server, which uses a client for long.
const mostRedirects = 4096

func (r *redirects) get(d digest.Digest) *place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[d]
}

func (r *redirects) set(d digest.Digest, u *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil || len(r.at) >= mostRedirects {
		r.at = make(map[digest.Digest]*place)
	}
	r.at[d] = u
}

// forget removes u, unless another request has found a newer URL.
func (r *redirects) forget(d digest.Digest, u *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[d] == u {
		delete(r.at, d)
	}
}
