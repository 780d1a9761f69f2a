package registry

import (
	"bytes"
	"context"
	_ "crypto/sha256" // go-digest needs it linked in
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxManifestBytes = 4 << 20
	manifestTries    = 3 // if the body is cut off; retryablehttp retries only until the headers
)

// acceptManifests names the media types that we read, in one field: some servers
// ignore a second field. Without it, some registries answer with schema 1.
var acceptManifests = strings.Join([]string{
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

// Manifest returns the manifest or index that reference, a tag or a digest, names in
// repository. If reference is a digest, the bytes have it; for a tag, they may be
// anything. The descriptor has the media type of the answer, and the digest and the
// size of the bytes. Each error is an *Error.
func (c *Client) Manifest(ctx context.Context, repository, reference string) (ocispec.Descriptor, []byte, error) {
	if err := c.chooseScheme(ctx); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	f := c.manifestAt(repository, reference)
	var cut error
	for range manifestTries {
		resp, at, err := c.openSoon(ctx, f)
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		body, err := readManifest(resp)
		if err == nil {
			return c.describe(f, resp, at, reference, body)
		}
		cut = c.failure(ctx, f.op, at, err)
		if _, silent := errors.AsType[silence](err); silent || ctx.Err() != nil || errors.Is(err, errTooLarge) {
			break
		}
	}
	return ocispec.Descriptor{}, nil, cut
}

// openSoon requires the headers within manifestTimeout.
func (c *Client) openSoon(ctx context.Context, f fetch) (resp *http.Response, at *url.URL, err error) {
	resp, err = within(ctx, manifestTimeout, func(ctx context.Context) (*http.Response, error) {
		r, err := c.open(ctx, f)
		at = r.at
		return r.Response, err
	})
	return resp, at, err
}

// Claim returns the digest that the host gives for a tag (Docker-Content-Digest in
// the answer to HEAD), or "" if it gives none. It does not fetch the manifest, so
// the host may be wrong. Docker Hub does not count such requests. Each error is an
// *Error.
func (c *Client) Claim(ctx context.Context, repository, tag string) (digest.Digest, error) {
	if err := c.chooseScheme(ctx); err != nil {
		return "", err
	}
	f := c.manifestAt(repository, tag)
	f.method = http.MethodHead
	resp, _, err := c.openSoon(ctx, f)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	claimed := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if claimed.Validate() != nil {
		return "", nil
	}
	return claimed, nil
}

// Size returns the size in bytes that the host gives for a blob: it asks for the first
// byte, since some hosts do not answer HEAD. The host may be wrong. Each error is an
// *Error.
func (c *Client) Size(ctx context.Context, repository string, d digest.Digest) (int64, error) {
	if err := c.chooseScheme(ctx); err != nil {
		return 0, err
	}
	f := fetch{
		op: "blob", at: c.endpoint(repository, "blobs", d.String()), via: c.blobs,
		header: http.Header{"Accept-Encoding": {"identity"}, "Range": {"bytes=0-0"}},
	}
	resp, at, err := c.openSoon(ctx, f)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	size := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		_, _, size, _ = parseContentRange(resp.Header.Get("Content-Range"))
	}
	if size <= 0 {
		return 0, c.fault(f.op, at, mismatch("it gives no size"))
	}
	return size, nil
}

func (c *Client) manifestAt(repository, reference string) fetch {
	return fetch{
		op:     "manifest",
		at:     c.endpoint(repository, "manifests", reference),
		header: http.Header{"Accept": {acceptManifests}, "Accept-Encoding": {"identity"}},
		via:    c.manifests,
	}
}

var errTooLarge = permanent("larger than 4 MiB")

func readManifest(resp *http.Response) ([]byte, error) {
	timer := time.AfterFunc(manifestTimeout, func() { resp.Body.Close() })
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifestBytes+1))
	switch {
	case !timer.Stop():
		return nil, silence(manifestTimeout)
	case len(body) > maxManifestBytes:
		return nil, errTooLarge
	}
	return body, err
}

// describe checks body and computes its descriptor. If a label says that body is
// encoded, describe tries it unchanged and then decoded.
func (c *Client) describe(f fetch, resp *http.Response, at *url.URL, reference string, body []byte) (ocispec.Descriptor, []byte, error) {
	if resp.StatusCode != http.StatusOK {
		return ocispec.Descriptor{}, nil, c.fault(f.op, at, mismatch("a part of it"))
	}
	for _, body := range [][]byte{body, decodeManifest(resp.Header, body)} {
		computed := digest.FromBytes(body)
		if reference == computed.String() || !strings.Contains(reference, ":") && json.Valid(body) {
			return describe(resp.Header, computed, body), body, nil
		}
	}
	if !strings.Contains(reference, ":") {
		return describe(resp.Header, digest.FromBytes(body), body), body, nil
	}
	if json.Valid(body) {
		return ocispec.Descriptor{}, nil, c.fault(f.op, at, mismatch("its digest is %s", digest.FromBytes(body)))
	}
	return ocispec.Descriptor{}, nil, c.fault(f.op, at, permanent(fmt.Sprintf("the answer is not a manifest: %q", readableText(body))))
}

func describe(header http.Header, computed digest.Digest, body []byte) ocispec.Descriptor {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type")) // only a hint
	return ocispec.Descriptor{MediaType: mediaType, Digest: computed, Size: int64(len(body))}
}

// plain returns a body without the encoding that its label names, if it has that.
func plain(header http.Header, body []byte) []byte {
	if len(encodings(header)) > 0 {
		if decoded := decodeManifest(header, body); decoded != nil {
			return decoded
		}
	}
	return body
}

// decodeManifest decodes body. It returns nil if body has no encoding, is broken, or
// is too large for a manifest.
func decodeManifest(header http.Header, body []byte) []byte {
	decoder := decoderFor(encodings(header), body)
	if decoder == nil {
		return nil
	}
	r, err := decoder(bytes.NewReader(body))
	if err != nil {
		return nil
	}
	decoded, err := io.ReadAll(io.LimitReader(r, maxManifestBytes+1))
	if err != nil || len(decoded) > maxManifestBytes {
		return nil
	}
	return decoded
}
