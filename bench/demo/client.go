package demo

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

// client pulls an image by the distribution API, as a container engine does: the
// manifest by tag, then all blobs at once. It keeps no bytes.
type client struct {
	repository string // http://host:port/v2/name
	http       *http.Client
}

// fetched is a blob that the client has got, with times after the start of the
// pull.
type fetched struct {
	digest       digest.Digest
	size         int64 // bytes
	first, whole time.Duration
}

func newClient(repository string) *client {
	return &client{repository, &http.Client{Transport: &http.Transport{}}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// pull fetches the image with the tag latest. It fails if a digest is wrong.
func (c *client) pull(ctx context.Context) ([]fetched, error) {
	started := time.Now()
	manifest, err := c.manifest(ctx)
	if err != nil {
		return nil, err
	}
	blobs := append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...)
	got := make([]fetched, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	for i, b := range blobs {
		group.Go(func() (err error) {
			got[i], err = c.blob(ctx, b.Digest, started)
			return err
		})
	}
	return got, group.Wait()
}

func (c *client) manifest(ctx context.Context) (m ocispec.Manifest, err error) {
	resp, err := c.get(ctx, "/manifests/latest")
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4*mib))
	if err != nil {
		return m, err
	}
	if want := resp.Header.Get("Docker-Content-Digest"); want != digest.FromBytes(body).String() {
		return m, fmt.Errorf("the manifest is not %s, as the header says", want)
	}
	return m, json.Unmarshal(body, &m)
}

func (c *client) blob(ctx context.Context, want digest.Digest, started time.Time) (f fetched, err error) {
	resp, err := c.get(ctx, "/blobs/"+want.String())
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	verifier := want.Verifier()
	one, err := io.CopyN(verifier, resp.Body, 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, err
	}
	f.first = time.Since(started)
	rest, err := io.Copy(verifier, resp.Body)
	if err != nil {
		return f, fmt.Errorf("blob %s: %w", want, err)
	}
	if !verifier.Verified() {
		return f, fmt.Errorf("blob %s: the bytes have another digest", want)
	}
	f.digest, f.size, f.whole = want, one+rest, time.Since(started)
	return f, nil
}

func (c *client) get(ctx context.Context, path string) (*http.Response, error) {
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
