package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// mostManifest is the largest manifest that registries accept, in bytes.
const mostManifest = 4 << 20

// Client pulls from one repository. It keeps no bytes. It is safe for concurrent
// use.
type Client struct {
	repository string
	http       *http.Client
}

// Blob is a blob that a client has got, with times after the start of the pull.
type Blob struct {
	Digest       digest.Digest
	Size         int64 // bytes
	First, Whole time.Duration
}

// New returns a client with connections of its own for a repository,
// http://host:port/v2/name. Close closes them.
func New(repository string) *Client {
	return &Client{repository, &http.Client{Transport: &http.Transport{}}}
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Pull fetches the image with a tag: the manifest, then the config and all layers
// at once, which it returns in that order. It fails if a digest is wrong.
func (c *Client) Pull(ctx context.Context, tag string) ([]Blob, error) {
	started := time.Now()
	manifest, err := c.manifest(ctx, tag)
	if err != nil {
		return nil, err
	}
	blobs := append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...)
	got := make([]Blob, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	for i, b := range blobs {
		group.Go(func() (err error) {
			got[i], err = c.blob(ctx, b.Digest, started)
			return err
		})
	}
	return got, group.Wait()
}

func (c *Client) manifest(ctx context.Context, tag string) (m ocispec.Manifest, err error) {
	resp, err := c.get(ctx, "/manifests/"+tag)
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostManifest))
	if err != nil {
		return m, err
	}
	if want := resp.Header.Get("Docker-Content-Digest"); want != digest.FromBytes(body).String() {
		return m, fmt.Errorf("the manifest is not %s, as the header says", want)
	}
	return m, json.Unmarshal(body, &m)
}

func (c *Client) blob(ctx context.Context, want digest.Digest, started time.Time) (b Blob, err error) {
	resp, err := c.get(ctx, "/blobs/"+want.String())
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

func (c *Client) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.repository+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", strings.Join([]string{ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.v2+json"}, ", "))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", req.URL, resp.Status)
	}
	return resp, nil
}
