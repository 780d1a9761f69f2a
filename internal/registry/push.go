package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Has reports whether the host has a blob in a repository, by HEAD. Each error is an
// *Error.
func (c *Client) Has(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	if err := c.chooseScheme(ctx); err != nil {
		return false, err
	}
	f := fetch{op: "blob", method: http.MethodHead, at: c.endpoint(repository, "blobs", d.String()), header: http.Header{}, via: c.manifests}
	resp, _, err := c.openSoon(ctx, f)
	if err == nil {
		resp.Body.Close()
		return true, nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Missing() {
		return false, nil
	}
	return false, err
}

// Upload puts a blob into a repository. If the host has it in the repository from, unless
// that is "", and lets the login mount it, no byte is sent. Otherwise Upload sends the
// blob in one request, without a limit of time, and calls open for its bytes, again if
// the host refuses the first request. The host checks the digest. Each error is an *Error.
func (c *Client) Upload(ctx context.Context, repository, from string, b ocispec.Descriptor, open func() io.Reader) (mounted bool, err error) {
	if err := c.chooseScheme(ctx); err != nil {
		return false, err
	}
	at, err := c.startUpload(ctx, repository, from, b.Digest)
	if from != "" && refusesMount(err) {
		at, err = c.startUpload(ctx, repository, "", b.Digest)
	}
	if at == nil || err != nil {
		return err == nil, err
	}
	at.RawQuery = strings.TrimPrefix(at.RawQuery+"&digest="+url.QueryEscape(b.Digest.String()), "&")
	put := write{
		op: "upload", method: http.MethodPut, at: at, repository: c.home.name(repository),
		mediaType: "application/octet-stream", size: b.Size, open: open, via: c.uploads, want: http.StatusCreated,
	}
	_, err = c.write(ctx, put)
	return false, err
}

// Mount makes a repository have a blob that the host has in the repository from, and
// reports whether the host did that for the login. Each error is an *Error.
func (c *Client) Mount(ctx context.Context, repository, from string, d digest.Digest) (bool, error) {
	if err := c.chooseScheme(ctx); err != nil {
		return false, err
	}
	at, err := c.startUpload(ctx, repository, from, d)
	switch {
	case refusesMount(err):
		return false, nil
	case at == nil || err != nil:
		return err == nil, err
	}
	// The host waits for an upload, which does not come. If it lacks this request, it
	// forgets the upload after some time.
	drop := write{op: "upload", method: http.MethodDelete, at: at, repository: c.home.name(repository), via: c.changes, want: http.StatusNoContent}
	_, _ = c.write(ctx, drop)
	return false, nil
}

// refusesMount reports whether an upload may succeed that does not ask for a mount.
func refusesMount(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Refused() || e.Permanent() || e.Missing())
}

// startUpload returns where to send the blob, or nil if the host has mounted it.
func (c *Client) startUpload(ctx context.Context, repository, from string, d digest.Digest) (*url.URL, error) {
	at := c.home.url().JoinPath(repository, "blobs", "uploads/")
	if from != "" {
		query := at.Query()
		query.Set("mount", d.String())
		query.Set("from", c.home.name(from))
		at.RawQuery = query.Encode()
	}
	post := write{op: "upload", method: http.MethodPost, at: at, repository: c.home.name(repository), via: c.changes, want: http.StatusAccepted}
	r, err := c.write(ctx, post)
	if err != nil || from != "" && r.StatusCode == http.StatusCreated {
		return nil, err
	}
	next, err := c.uploads.redirect(at, c.ownLocation(r.Header.Get("Location")))
	if err != nil {
		return nil, c.fault("upload", at, err)
	}
	return next, nil
}

// ownLocation corrects the Location of a registry that does not know of the TLS proxy in
// front of it.
func (c *Client) ownLocation(location string) string {
	u, err := url.Parse(location)
	own := c.home.url()
	if err == nil && own.Scheme == "https" && u.Scheme == "http" && strings.EqualFold(u.Hostname(), own.Hostname()) {
		u.Scheme, u.Host = own.Scheme, own.Host
		return u.String()
	}
	return location
}

// PutManifest puts a manifest or an index into a repository, under a tag or its digest.
// What it refers to has to be there. Each error is an *Error.
func (c *Client) PutManifest(ctx context.Context, repository, reference, mediaType string, body []byte) error {
	if err := c.chooseScheme(ctx); err != nil {
		return err
	}
	put := write{
		op: "manifest", method: http.MethodPut, at: c.endpoint(repository, "manifests", reference).url, repository: c.home.name(repository),
		mediaType: mediaType, size: int64(len(body)), open: func() io.Reader { return bytes.NewReader(body) }, via: c.changes, want: http.StatusCreated,
	}
	_, err := c.write(ctx, put)
	return err
}

// write describes a request that changes something at the host.
type write struct {
	op, method string
	at         *url.URL
	repository string // its name at the host
	mediaType  string // of the body
	size       int64
	open       func() io.Reader // nil: no body
	via        *opener
	want       int // the status, besides 201
}

// write sends a request. It follows no redirects: only the host says where a blob goes.
func (c *Client) write(ctx context.Context, w write) (reply, error) {
	r := reply{at: w.at, repository: w.repository}
	req, err := http.NewRequestWithContext(ctx, w.method, w.at.String(), nil)
	if err != nil {
		return r, c.fault(w.op, w.at, bare(err))
	}
	if w.open != nil {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(w.open()), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = w.size
		req.Header.Set("Content-Type", w.mediaType)
	}
	// An upload may go to another host, which gets no login.
	if t, known := w.via.target(place{url: w.at, repository: w.repository}); known && c.home.is(w.at) {
		r.Response, r.refused, err = w.via.auth.do(req, t)
	} else {
		r.Response, err = w.via.auth.next.RoundTrip(req)
	}
	if err != nil {
		return r, c.failure(ctx, w.op, w.at, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusCreated && r.StatusCode != w.want {
		return r, c.refusal(w.op, r)
	}
	return r, nil
}
