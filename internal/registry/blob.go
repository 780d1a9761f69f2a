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

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Stream is the range of a blob that a server sends.
type Stream struct {
	// Body yields End-Start bytes, or io.ErrUnexpectedEOF before. Close ends
	// the request at once: it never waits for what is still to come.
	Body io.ReadCloser
	// Start and End, half-open, are what was asked for, or the whole blob
	// from a server that ignored the range.
	Start, End int64
}

// Blob asks for the bytes [start, end) of blob b, whose Digest and Size must be
// set. It returns as soon as the headers are there. Every error is an *Error;
// of the bytes nothing is checked but their number.
//
// Where the host redirects to is remembered for each digest. Where that is
// refused, the host is asked anew, once.
func (c *Client) Blob(ctx context.Context, repository string, b ocispec.Descriptor, start, end int64) (*Stream, error) {
	f := fetch{
		op:     "blob",
		url:    c.endpoint(repository, "blobs", b.Digest.String()),
		scope:  c.scope(repository),
		header: rangeHeader(start, end),
		via:    c.blobs,
	}
	return c.stream(ctx, f, b, start, end, func(ctx context.Context) (*http.Response, error) {
		return c.openRemembered(ctx, f, b.Digest)
	})
}

// stream checks what is asked for, opens it, and checks what the server sends.
func (c *Client) stream(ctx context.Context, f fetch, b ocispec.Descriptor, start, end int64, open func(context.Context) (*http.Response, error)) (*Stream, error) {
	if start < 0 || end < start || end > b.Size || (start == end && b.Size > 0) {
		err := fmt.Errorf("no such range: %d-%d of %d bytes", start, end, b.Size)
		return nil, c.fault(f.op, f.url, err)
	}
	if b.Size == 0 {
		return &Stream{Body: http.NoBody}, nil // no closed range names no bytes
	}
	resp, err := within(ctx, blobPatience, open)
	if err != nil {
		return nil, err
	}
	s, err := newStream(resp, b.Size, start, end)
	if err != nil {
		resp.Body.Close()
		return nil, c.fault(f.op, resp.Request.URL, err)
	}
	return s, nil
}

func rangeHeader(start, end int64) http.Header {
	return http.Header{
		"Range":           {fmt.Sprintf("bytes=%d-%d", start, end-1)},
		"Accept-Encoding": {"identity"},
	}
}

// newStream believes a 206 only for exactly the range asked for, and a 200 only
// as the whole.
func newStream(resp *http.Response, size, start, end int64) (*Stream, error) {
	if resp.StatusCode == http.StatusOK {
		start, end = 0, size
		if resp.ContentLength < 0 && isHTML(resp.Header) {
			return nil, errWebPage
		}
	} else {
		given := resp.Header.Get("Content-Range")
		from, to, total, ok := parseContentRange(given)
		if !ok || from != start || to != end || (total >= 0 && total != size) {
			return nil, mismatch("Content-Range %q where bytes %d-%d/%d were", given, start, end-1, size)
		}
	}
	if n := resp.ContentLength; n >= 0 && n != end-start {
		if isHTML(resp.Header) {
			return nil, errWebPage
		}
		return nil, mismatch("Content-Length %d where it takes %d", n, end-start)
	}
	return &Stream{Body: &exactBody{resp.Body, end - start}, Start: start, End: end}, nil
}

// exactBody yields left bytes, not more, and fewer only with an error.
type exactBody struct {
	io.ReadCloser
	left int64
}

func (b *exactBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// openRemembered goes straight to where the blob was last redirected to.
func (c *Client) openRemembered(ctx context.Context, f fetch, d digest.Digest) (*http.Response, error) {
	at := c.redirects.get(d)
	if at != nil {
		direct := f
		direct.url = at
		resp, err := c.open(ctx, direct)
		if err == nil || !stale(err) {
			return resp, err
		}
		c.redirects.forget(d, at)
		if ctx.Err() != nil {
			return nil, err
		}
	}
	resp, err := c.open(ctx, f)
	if at == nil && c.expired(f, err) {
		resp, err = c.open(ctx, f)
	}
	if err == nil && resp.Request.URL.String() != f.url.String() {
		c.redirects.set(d, resp.Request.URL)
	}
	return resp, err
}

// expired reports whether the host that f was redirected to refuses what it
// was sent: the signature has expired on its way to a machine that was asleep,
// or slow.
func (c *Client) expired(f fetch, err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Refused() && e.Where != c.where(f.url)
}

// stale reports whether err may come from a redirect that is over: its
// signature has expired, or its server is gone or silent.
func stale(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains([]int{0, 401, 403, 404, 410}, e.StatusCode)
}

// redirects remembers for each blob the URL that served it last. The zero
// value is ready, and safe for concurrent use.
type redirects struct {
	mu sync.Mutex
	at map[digest.Digest]*url.URL
}

func (r *redirects) get(d digest.Digest) *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[d]
}

func (r *redirects) set(d digest.Digest, u *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = make(map[digest.Digest]*url.URL)
	}
	r.at[d] = u
}

// forget drops u, unless another has found a newer one meanwhile.
func (r *redirects) forget(d digest.Digest, u *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[d] == u {
		delete(r.at, d)
	}
}
