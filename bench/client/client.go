package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// mostManifest is the largest manifest that registries accept, in bytes.
const mostManifest = 4 << 20

// Options of a Client. The zero value fetches all blobs at once, over any connections.
type Options struct {
	// AtOnce is how many blobs of a pull are fetched at once. 0: all; containerd's
	// default is 3.
	AtOnce int
	// Dial opens the connections, as http.Transport's DialContext does. nil: that of
	// net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client pulls from one repository. It keeps no bytes. It is safe for concurrent
// use.
type Client struct {
	repository string
	atOnce     int
	http       *http.Client
}

// Blob is a blob that a client has got, with times after the start of the pull.
type Blob struct {
	Digest              digest.Digest
	Size                int64 // bytes
	Asked, First, Whole time.Duration
}

// New returns a client with connections of its own for a repository,
// http://host:port/v2/name. Close closes them.
func New(repository string, opts Options) *Client {
	return &Client{repository, opts.AtOnce, &http.Client{Transport: &http.Transport{DialContext: opts.Dial}}}
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Pull fetches the image with a tag: the digest of the tag, the manifest, in an index
// the first one, and then the config and all layers, which it returns in that order. It
// fails if a digest is wrong.
func (c *Client) Pull(ctx context.Context, tag string) ([]Blob, error) {
	started := time.Now()
	d, err := c.resolve(ctx, tag)
	if err != nil {
		return nil, err
	}
	blobs, err := c.list(ctx, d)
	if err != nil {
		return nil, err
	}
	return c.fetch(ctx, started, blobs)
}

// Blobs fetches blobs, and returns them in the same order. It fails if a digest is
// wrong.
func (c *Client) Blobs(ctx context.Context, blobs []digest.Digest) ([]Blob, error) {
	return c.fetch(ctx, time.Now(), blobs)
}

func (c *Client) fetch(ctx context.Context, started time.Time, blobs []digest.Digest) ([]Blob, error) {
	got := make([]Blob, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	if c.atOnce > 0 {
		group.SetLimit(c.atOnce)
	}
	for i, d := range blobs {
		group.Go(func() (err error) {
			got[i], err = c.blob(ctx, d, started)
			return err
		})
	}
	return got, group.Wait()
}

// resolve asks for the digest of a tag.
func (c *Client) resolve(ctx context.Context, tag string) (digest.Digest, error) {
	resp, err := c.request(ctx, http.MethodHead, "/manifests/"+tag)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	d, err := digest.Parse(resp.Header.Get("Docker-Content-Digest"))
	if err != nil {
		return "", fmt.Errorf("HEAD %s: the digest in the header: %w", resp.Request.URL, err)
	}
	return d, nil
}

// list names the config and the layers of a manifest, or of the first one of an index.
func (c *Client) list(ctx context.Context, d digest.Digest) (blobs []digest.Digest, err error) {
	body, err := c.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	if len(index.Manifests) > 0 {
		if body, err = c.manifest(ctx, index.Manifests[0].Digest); err != nil {
			return nil, err
		}
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	blobs = append(blobs, m.Config.Digest)
	for _, layer := range m.Layers {
		blobs = append(blobs, layer.Digest)
	}
	return blobs, nil
}

func (c *Client) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	resp, err := c.request(ctx, http.MethodGet, "/manifests/"+d.String())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostManifest))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	if digest.FromBytes(body) != d {
		return nil, fmt.Errorf("manifest %s: the bytes have another digest", d)
	}
	return body, nil
}

func (c *Client) blob(ctx context.Context, want digest.Digest, started time.Time) (b Blob, err error) {
	b.Asked = time.Since(started)
	resp, err := c.request(ctx, http.MethodGet, "/blobs/"+want.String())
	if err != nil {
		return b, err
	}
	defer resp.Body.Close()
	verifier := want.Verifier()
	one, err := io.CopyN(verifier, resp.Body, 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return b, err
	}
	b.First = time.Since(started)
	rest, err := io.Copy(verifier, resp.Body)
	if err != nil {
		return b, fmt.Errorf("blob %s: %w", want, err)
	}
	if !verifier.Verified() {
		return b, fmt.Errorf("blob %s: the bytes have another digest", want)
	}
	b.Digest, b.Size, b.Whole = want, one+rest, time.Since(started)
	return b, nil
}

// accept has what an engine accepts for manifests.
var accept = strings.Join([]string{
	ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

func (c *Client) request(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.repository+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, req.URL, resp.Status)
	}
	return resp, nil
}
