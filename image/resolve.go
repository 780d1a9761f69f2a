package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxDepth allows an index in an index, as the OCI specification does, and no deeper.
	maxDepth = 2

	// maxFetches bounds the requests that a wide tree of indexes could cause.
	maxFetches = 16

	// maxListed bounds the platforms in an error message.
	maxListed = 50
)

// Fetcher gets manifests and indexes.
type Fetcher interface {
	// Fetch returns a manifest or index and its descriptor, digest and size computed from the bytes.
	// With want.Digest == "" it asks by the reference's tag. Else the bytes have that digest (and
	// want.Size, if it is above 0), or there is an error. It reads at most [MaxManifestSize].
	Fetch(ctx context.Context, ref Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error)
}

// PlatformError says that an index has no image for the wanted platform.
type PlatformError struct {
	Reference Reference
	Wanted    Platform
	Available []Platform // in the order of the index, each once
}

func (e *PlatformError) Error() string {
	if len(e.Available) == 0 {
		return fmt.Sprintf("%s: no image for %s, and none for any other platform", e.Reference, e.Wanted)
	}
	var names []string
	for _, p := range e.Available[:min(len(e.Available), maxListed)] {
		names = append(names, p.String())
	}
	return fmt.Sprintf("%s: no image for %s; choose with --platform one of: %s", e.Reference, e.Wanted, strings.Join(names, ", "))
}

// Resolve finds the manifest of an image for a platform; the zero Platform is [DefaultPlatform]. A
// reference that leads to a manifest without an index is taken as it is. An earlier variant of the
// platform is taken where an index does not have the wanted one. The error is a *[PlatformError], or
// wraps that of the Fetcher, or tells what is wrong with the manifest.
func Resolve(ctx context.Context, f Fetcher, ref Reference, p Platform) (Image, error) {
	if p == (Platform{}) {
		p = DefaultPlatform()
	}
	r := resolver{fetcher: f, ref: ref, platform: p.normalize()}
	img, err := r.resolve(ctx)
	switch {
	case errors.Is(err, errNoPlatform):
		return Image{}, &PlatformError{Reference: ref, Wanted: r.platform, Available: r.available}
	case err != nil:
		return Image{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	return img, nil
}

// errNoPlatform makes the search go on elsewhere; Resolve turns it into a PlatformError.
var errNoPlatform = errors.New("no such platform")

type resolver struct {
	fetcher   Fetcher
	ref       Reference
	platform  Platform
	fetches   int
	available []Platform // platforms seen and not taken
}

// fetched is a manifest or index with its bytes.
type fetched struct {
	document
	desc ocispec.Descriptor
	body []byte
}

func (r *resolver) resolve(ctx context.Context) (Image, error) {
	top, err := r.fetch(ctx, ocispec.Descriptor{Digest: r.ref.Digest})
	if err != nil {
		return Image{}, err
	}
	m, err := r.descend(ctx, top, 1)
	if err != nil {
		return Image{}, err
	}
	img := Image{
		Reference:     r.ref,
		Platform:      r.platform,
		Digest:        top.desc.Digest,
		Manifest:      ocispec.Descriptor{MediaType: m.MediaType, Digest: m.desc.Digest, Size: m.desc.Size},
		ManifestBytes: m.body,
		Config:        *m.Config,
		Layers:        m.Layers,
	}
	return img, img.Validate()
}

// descend follows an index to the manifest for the platform.
func (r *resolver) descend(ctx context.Context, at fetched, depth int) (fetched, error) {
	if isManifest(at.MediaType) {
		return at, nil
	}
	if depth > maxDepth {
		return fetched{}, fmt.Errorf("index %s: indexes in indexes more than %d deep", at.desc.Digest, maxDepth)
	}
	for _, d := range r.candidates(at.Manifests) {
		if err := checkDescriptor(d, MaxManifestSize); err != nil {
			return fetched{}, fmt.Errorf("index %s: %w", at.desc.Digest, err)
		}
		next, err := r.fetch(ctx, d)
		if err != nil {
			return fetched{}, err
		}
		m, err := r.descend(ctx, next, depth+1)
		if !errors.Is(err, errNoPlatform) {
			return m, err
		}
	}
	return fetched{}, errNoPlatform
}

func (r *resolver) fetch(ctx context.Context, want ocispec.Descriptor) (fetched, error) {
	if r.fetches++; r.fetches > maxFetches {
		return fetched{}, fmt.Errorf("more than %d manifests on the way", maxFetches)
	}
	desc, body, err := r.fetcher.Fetch(ctx, r.ref, want)
	if err != nil {
		return fetched{}, err
	}
	doc, err := parseDocument(body, want.MediaType, desc.MediaType)
	if err != nil {
		return fetched{}, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	return fetched{document: doc, desc: desc, body: body}, nil
}

// candidates returns what of an index may lead to the platform, best first: the manifests made for it,
// then indexes that do not say, then a manifest that does not say if it is the only one.
// It notes the platforms that there are.
func (r *resolver) candidates(manifests []ocispec.Descriptor) []ocispec.Descriptor {
	manifests = slices.DeleteFunc(slices.Clone(manifests), isNoImage)
	var matching, indexes, silent []ocispec.Descriptor
	for _, d := range manifests {
		p, ok := platformOf(d)
		switch {
		case ok && r.platform.rank(p) > 0:
			matching = append(matching, d)
		case ok && !slices.Contains(r.available, p):
			r.available = append(r.available, p)
		case !ok && isIndex(d.MediaType):
			indexes = append(indexes, d)
		case !ok:
			silent = append(silent, d)
		}
	}
	slices.SortStableFunc(matching, func(a, b ocispec.Descriptor) int {
		pa, _ := platformOf(a)
		pb, _ := platformOf(b)
		return cmp.Compare(r.platform.rank(pb), r.platform.rank(pa))
	})
	if len(manifests) > 1 {
		silent = nil
	}
	return slices.Concat(matching, indexes, silent)
}

// isNoImage finds what an index lists besides images: artifacts by their media type, and BuildKit's
// provenance and SBOM manifests (docs.docker.com/build/metadata/attestations/attestation-storage).
func isNoImage(d ocispec.Descriptor) bool {
	return d.MediaType != "" && !isIndex(d.MediaType) && !isManifest(d.MediaType) ||
		d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}
