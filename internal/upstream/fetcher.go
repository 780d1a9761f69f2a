package upstream

import (
	"context"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/sources"
)

// Fetcher is the image.Fetcher of a set of sources. It charges the bytes that it fetches to the limit for all
// traffic, and warns of rejected sources. It asks no source for what the cache or the bucket has.
type Fetcher struct {
	mirrors *Mirrors
	set     *sources.Set

	mu      sync.Mutex // guards what follows
	fetched []manifest // what led to the image, from sources or the bucket
}

// manifest is a manifest or an index, as a source or the bucket served it.
type manifest struct {
	mediaType  string
	body       []byte
	fromBucket bool
}

// Fetcher returns a fetcher for one image.
func (m *Mirrors) Fetcher(set *sources.Set) *Fetcher { return &Fetcher{mirrors: m, set: set} }

// Fetch implements image.Fetcher.
func (f *Fetcher) Fetch(ctx context.Context, ref image.Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	opts := &f.mirrors.opts
	if opts.Cache != nil && want.Digest != "" {
		if got, body, err := opts.Cache.Manifest(ctx, want.Digest); err == nil {
			return got, body, nil
		}
		if mediaType, body, ok := opts.Bucket.Read(ctx, want.Digest, image.MaxManifestSize); ok {
			return f.took(ctx, manifest{mediaType, body, true})
		}
	}
	got, body, err := f.set.Fetch(ctx, ref, want)
	if err != nil {
		return got, body, err
	}
	return f.took(ctx, manifest{got.MediaType, body, false})
}

// took charges a manifest to the limit, and remembers it for Keep.
func (f *Fetcher) took(ctx context.Context, m manifest) (ocispec.Descriptor, []byte, error) {
	f.mu.Lock()
	f.fetched = append(f.fetched, m)
	f.mu.Unlock()
	d := ocispec.Descriptor{MediaType: m.mediaType, Digest: digest.FromBytes(m.body), Size: int64(len(m.body))}
	return d, m.body, f.mirrors.opts.Limits.All().Charge(ctx, int64(len(m.body)))
}

// Blob implements image.Fetcher.
func (f *Fetcher) Blob(ctx context.Context, ref image.Reference, b ocispec.Descriptor) ([]byte, error) {
	opts := &f.mirrors.opts
	if opts.Cache != nil {
		if body, err := opts.Cache.Read(ctx, b); err == nil {
			return body, nil
		}
		if _, body, ok := opts.Bucket.Read(ctx, b.Digest, b.Size); ok {
			return body, opts.Limits.All().Charge(ctx, int64(len(body)))
		}
	}
	body, err := f.set.Blob(ctx, ref, b)
	if err == nil {
		err = opts.Limits.All().Charge(ctx, int64(len(body)))
	}
	return body, err
}

// Reject implements image.Fetcher.
func (f *Fetcher) Reject(ref image.Reference, reason error) (source string, more bool) {
	f.fetched = nil
	source, more = f.set.Reject(ref, reason)
	if more {
		f.mirrors.opts.Report.Warn(fmt.Sprintf("mirror %s: its answer for %s is not usable: %s; segpull asks the next source",
			source, ref.Display(), image.Reason(ref, reason)))
	}
	return source, more
}

// Keep puts the manifests that led to the image into the cache and the bucket, if there are.
func (f *Fetcher) Keep(ctx context.Context) error {
	opts := &f.mirrors.opts
	if opts.Cache == nil {
		return nil
	}
	for _, m := range f.fetched {
		d, err := opts.Cache.PutManifest(ctx, m.mediaType, m.body)
		if err != nil {
			return opts.Cache.Explain(err)
		}
		if !m.fromBucket {
			opts.Bucket.PutSmall(d.MediaType, m.body)
		}
	}
	return nil
}

// InCache reports whether the cache probably has the image of a reference.
func (m *Mirrors) InCache(ctx context.Context, ref image.Reference) bool {
	c := m.opts.Cache
	if c == nil {
		return false
	}
	if ref.Digest == "" {
		_, err := c.Name(ref)
		return err == nil
	}
	_, _, err := c.Manifest(ctx, ref.Digest)
	return err == nil
}
