package registry

import (
	"context"
	_ "crypto/sha256" // go-digest needs it linked in
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxManifestBytes = 4 << 20
	manifestTries    = 3 // while the body is cut off; retryablehttp ends at the headers
)

// acceptManifests names what we read. Without it some registries answer with
// schema 1.
var acceptManifests = []string{
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}

// Manifest returns the manifest or index that reference, a tag or a digest,
// names in repository. Asked for by digest, its bytes match it. The descriptor
// has the media type that the host claims, and the computed digest and size.
// Every error is an *Error.
func (c *Client) Manifest(ctx context.Context, repository, reference string) (ocispec.Descriptor, []byte, error) {
	f := c.manifestAt(repository, reference)
	var cut error
	for range manifestTries {
		resp, err := within(ctx, manifestPatience, func(ctx context.Context) (*http.Response, error) { return c.open(ctx, f) })
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		body, err := readManifest(resp)
		if err == nil {
			return c.describe(f, resp, reference, body)
		}
		cut = c.failure(ctx, f.op, resp.Request.URL, err)
		if _, silent := errors.AsType[silence](err); silent || ctx.Err() != nil || errors.Is(err, errTooLarge) {
			break
		}
	}
	return ocispec.Descriptor{}, nil, cut
}

// Claim returns the digest that the host claims for a tag, "" if it claims
// none, without fetching the manifest: nothing is proved by it. Docker Hub does
// not count such requests. Every error is an *Error.
func (c *Client) Claim(ctx context.Context, repository, tag string) (digest.Digest, error) {
	f := c.manifestAt(repository, tag)
	f.method = http.MethodHead
	resp, err := within(ctx, manifestPatience, func(ctx context.Context) (*http.Response, error) { return c.open(ctx, f) })
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

func (c *Client) manifestAt(repository, reference string) fetch {
	return fetch{
		op:    "manifest",
		url:   c.endpoint(repository, "manifests", reference),
		scope: c.scope(repository),
		header: http.Header{
			"Accept":          acceptManifests,
			"Accept-Encoding": {"identity"},
		},
		via: c.manifests,
	}
}

var errTooLarge = errors.New("larger than 4 MiB")

func readManifest(resp *http.Response) ([]byte, error) {
	timer := time.AfterFunc(manifestPatience, func() { resp.Body.Close() })
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifestBytes+1))
	switch {
	case !timer.Stop():
		return nil, silence(manifestPatience)
	case len(body) > maxManifestBytes:
		return nil, errTooLarge
	}
	return body, err
}

// describe checks body and computes its descriptor.
func (c *Client) describe(f fetch, resp *http.Response, reference string, body []byte) (ocispec.Descriptor, []byte, error) {
	at := resp.Request.URL
	if resp.StatusCode != http.StatusOK {
		return ocispec.Descriptor{}, nil, c.fault(f.op, at, mismatch("a part of it"))
	}
	if isWebPage(resp.Header, body) {
		return ocispec.Descriptor{}, nil, c.fault(f.op, at, errWebPage)
	}
	computed := digest.FromBytes(body)
	if strings.Contains(reference, ":") && reference != computed.String() {
		return ocispec.Descriptor{}, nil, c.fault(f.op, at, mismatch("its digest is %s", computed))
	}
	if !json.Valid(body) { // a tag's; another source may do better
		return ocispec.Descriptor{}, nil, c.fault(f.op, at, fmt.Errorf("no manifest but %.40q (does a proxy or login page answer?)", body))
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // only a hint
	return ocispec.Descriptor{MediaType: mediaType, Digest: computed, Size: int64(len(body))}, body, nil
}
