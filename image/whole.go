package image

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

const (
	// mostInner bounds the manifests of an index that is kept as a whole. Wide ones list about twenty
	// platforms, and an attestation for each.
	mostInner = 256

	// innerAtOnce is how many of them are fetched at the same time: each costs a round trip.
	innerAtOnce = 8
)

// ResolveAll finds an index with all that it lists, also what is not an image: attestations and signatures. Of a
// reference to a manifest, it takes that, as [Resolve] does for [DefaultPlatform]. It makes at most 256 requests
// for one answer, several at the same time. The errors are those of Resolve.
func ResolveAll(ctx context.Context, f Fetcher, ref Reference) (Image, error) {
	return resolve(ctx, f, ref, func() *resolver { return &resolver{fetcher: f, ref: ref, platform: All, most: mostInner} })
}

// wanted is the platform of an image that gives none itself.
func (r *resolver) wanted() Platform {
	if r.platform == All {
		return DefaultPlatform()
	}
	return r.platform
}

// whole returns an index with all that it lists.
func (r *resolver) whole(ctx context.Context, top fetched) (Image, error) {
	img := Image{
		Reference:     r.ref,
		Platform:      All,
		Digest:        top.desc.Digest,
		MediaType:     top.MediaType,
		Listed:        listed(top.Manifests),
		Manifest:      ocispec.Descriptor{MediaType: top.MediaType, Digest: top.desc.Digest, Size: top.desc.Size},
		ManifestBytes: top.body,
	}
	w := collector{resolver: r, image: &img, seen: map[digest.Digest]bool{top.desc.Digest: true}}
	if err := w.collect(ctx, top, 1); err != nil {
		return Image{}, err
	}
	if err := img.Validate(); err != nil {
		return Image{}, &UnusableError{Err: err}
	}
	return img, nil
}

// collector adds to an image what an index lists.
type collector struct {
	resolver *resolver
	image    *Image
	seen     map[digest.Digest]bool
}

// collect adds what an index lists: manifests and indexes with what they refer to, and anything else as a blob.
func (w *collector) collect(ctx context.Context, index fetched, depth int) error {
	if depth > maxDepth {
		return unusable("index %s: indexes nested more than %d deep", index.desc.Digest, maxDepth)
	}
	var inner []ocispec.Descriptor
	for _, d := range index.Manifests {
		switch {
		case w.seen[d.Digest]:
		case d.MediaType == "" || IsIndex(d.MediaType) || IsManifest(d.MediaType):
			inner = append(inner, d)
		default:
			w.image.Layers = append(w.image.Layers, d)
		}
		w.seen[d.Digest] = true
	}
	documents, err := w.fetch(ctx, index, inner)
	if err != nil {
		return err
	}
	for _, m := range documents {
		if IsIndex(m.MediaType) {
			if err := w.collect(ctx, m, depth+1); err != nil {
				return err
			}
		} else {
			w.image.Layers = append(append(w.image.Layers, *m.Config), m.Layers...)
		}
		w.image.Inner = append(w.image.Inner, Manifest{
			ocispec.Descriptor{MediaType: m.MediaType, Digest: m.desc.Digest, Size: m.desc.Size}, m.body,
		})
	}
	return nil
}

// fetch fetches what an index lists.
func (w *collector) fetch(ctx context.Context, index fetched, inner []ocispec.Descriptor) ([]fetched, error) {
	documents := make([]fetched, len(inner))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(innerAtOnce)
	for i, d := range inner {
		group.Go(func() (err error) {
			documents[i], err = w.resolver.enter(ctx, index, d)
			return err
		})
	}
	return documents, group.Wait()
}
