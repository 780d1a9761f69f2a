package image

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxDepth allows an index in an index, as the OCI specification does, but no third level.
	maxDepth = 2

	// maxFetches bounds the requests that a wide tree of indexes could cause.
	maxFetches = 16

	// maxListed bounds the platforms in an error message.
	maxListed = 50
)

// Fetcher fetches manifests, indexes and configs from any number of sources. sources.Set is one. [ResolveAll] calls
// Fetch from several goroutines at the same time.
type Fetcher interface {
	// Fetch returns a manifest or an index and its descriptor, with the digest and the size of the bytes. If
	// want.Digest is "", it requests the reference's tag. Otherwise the bytes have that digest, and want.Size
	// if that is above 0. Fetch reads at most [MaxManifestSize]. If the source that resolved the tag does not
	// serve the digests that its answer names, and no other source does, the error has a method
	// Withdrawn() bool that returns true.
	Fetch(ctx context.Context, ref Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error)

	// Blob returns the bytes of a blob of at most [MaxConfigSize], which have its digest and size. Its errors
	// are those of Fetch.
	Blob(ctx context.Context, ref Reference, b ocispec.Descriptor) ([]byte, error)

	// Reject reports that the last answer of Fetch to the reference's tag leads to no usable image, because of
	// err. It returns the name of the source of that answer, which Fetch does not ask for this tag again, and
	// whether another source is left.
	Reject(ref Reference, err error) (source string, more bool)
}

// Resolve finds the manifest of an image for a platform; the zero Platform is [DefaultPlatform]. If an index
// does not have the wanted variant, Resolve takes the latest earlier one. If the reference names a manifest,
// Resolve takes it without a look at its platform: Image.Platform is then the wanted one and Image.Assumed is
// true, see [ReadPlatform].
//
// If the answer to a tag is not a usable image, Resolve rejects it and asks the next source, until none is
// left. It makes at most 16 requests for one answer.
//
// The error is a *[PlatformError] or a *[RejectedError], or wraps an *[UnusableError] or an error of the
// Fetcher.
func Resolve(ctx context.Context, f Fetcher, ref Reference, p Platform) (Image, error) {
	if p == (Platform{}) {
		p = DefaultPlatform()
	}
	return resolve(ctx, f, ref, func() *resolver { return &resolver{fetcher: f, ref: ref, platform: p.normalize(), most: maxFetches} })
}

// resolve resolves a reference, by a new resolver for each answer to its tag.
func resolve(ctx context.Context, f Fetcher, ref Reference, start func() *resolver) (Image, error) {
	var rejections []Rejection
	for {
		r := start()
		img, err := r.resolve(ctx)
		switch {
		case err == nil:
			return img, nil
		case ref.Digest != "" || ctx.Err() != nil || !rejectable(err) && len(rejections) == 0:
			return Image{}, explain(ref, err)
		case !rejectable(err):
			return Image{}, rejected(ref, rejections, err)
		}
		source, more := f.Reject(ref, err)
		rejections = append(rejections, Rejection{source, err})
		if !more {
			return Image{}, rejected(ref, rejections, nil)
		}
	}
}

// errNoPlatform makes the search go on elsewhere; resolve turns it into a PlatformError.
var errNoPlatform = errors.New("no such platform")

// resolver resolves a reference, whose tag one source answers for.
type resolver struct {
	fetcher   Fetcher
	ref       Reference
	platform  Platform // the one wanted; [All]: the whole index
	fetches   atomic.Int64
	most      int64              // of fetches
	available []Platform         // platforms seen and not taken
	silent    []ManifestPlatform // manifests seen and not taken, of indexes without platforms
}

// fetched is a manifest or index with its bytes.
type fetched struct {
	document
	desc ocispec.Descriptor
	body []byte
}

// choice is the manifest that the search led to.
type choice struct {
	fetched
	platform Platform // that an index or the config gives; zero if neither was read
	config   []byte   // nil if it was not read
}

func (r *resolver) resolve(ctx context.Context) (Image, error) {
	top, err := r.fetch(ctx, ocispec.Descriptor{Digest: r.ref.Digest})
	if err != nil {
		return Image{}, err
	}
	if r.platform == All && IsIndex(top.MediaType) {
		return r.whole(ctx, top)
	}
	m, err := r.descend(ctx, top, Platform{}, 1)
	if errors.Is(err, errNoPlatform) {
		return Image{}, &PlatformError{Reference: r.ref, Wanted: r.platform, Available: r.available, Manifests: r.silent}
	}
	if err != nil {
		return Image{}, err
	}
	img := r.image(top, m)
	if err := img.Validate(); err != nil {
		return Image{}, &UnusableError{Err: err}
	}
	return img, nil
}

// image puts an image together from its parts.
func (r *resolver) image(top fetched, m choice) Image {
	img := Image{
		Reference:     r.ref,
		Platform:      cmp.Or(m.platform, r.wanted()),
		Assumed:       m.platform == Platform{},
		Digest:        top.desc.Digest,
		MediaType:     top.MediaType,
		Listed:        listed(top.Manifests),
		Manifest:      ocispec.Descriptor{MediaType: m.MediaType, Digest: m.desc.Digest, Size: m.desc.Size},
		ManifestBytes: m.body,
		Config:        *m.Config,
		Layers:        m.Layers,
	}
	if m.config != nil {
		img.Config.Data = m.config
	}
	return img
}

// listed returns the images of an index, without what Resolve would not enter.
func listed(manifests []ocispec.Descriptor) (images []Listed) {
	for _, d := range manifests {
		if isNoImage(d) || IsIndex(d.MediaType) || checkDescriptor(d, MaxManifestSize) != nil {
			continue
		}
		p, _ := platformOf(d)
		images = append(images, Listed{p, d.Digest, d.Size})
	}
	return images
}

// ReadPlatform returns img with the platform that its config gives, if img.Assumed is true. It fetches the
// config, and keeps it as the Data of img.Config. If it cannot fetch the config, it returns img unchanged: the
// caller needs the config later, and reports the error then. The error is the cause of ctx.
func ReadPlatform(ctx context.Context, f Fetcher, img Image) (Image, error) {
	if !img.Assumed {
		return img, nil
	}
	r := resolver{fetcher: f, ref: img.Reference}
	config, p, err := r.config(ctx, img.Config)
	if err == nil {
		img.Config.Data = config
	}
	if p != (Platform{}) {
		img.Platform, img.Assumed = p, false
	}
	return img, context.Cause(ctx)
}

// descend follows an index to the manifest for the platform. says is the platform that an index gives for
// what is at, zero if it gives none.
func (r *resolver) descend(ctx context.Context, at fetched, says Platform, depth int) (choice, error) {
	if IsManifest(at.MediaType) {
		return choice{fetched: at, platform: says}, nil
	}
	if depth > maxDepth {
		return choice{}, unusable("index %s: indexes nested more than %d deep", at.desc.Digest, maxDepth)
	}
	for _, d := range r.candidates(at.Manifests) {
		next, err := r.enter(ctx, at, d)
		if err != nil {
			return choice{}, err
		}
		p, ok := platformOf(d)
		if !ok {
			p = says
		}
		m, err := r.descend(ctx, next, p, depth+1)
		if !errors.Is(err, errNoPlatform) {
			return m, err
		}
	}
	return r.byConfig(ctx, at)
}

// enter fetches a manifest or index that an index lists.
func (r *resolver) enter(ctx context.Context, index fetched, d ocispec.Descriptor) (fetched, error) {
	if err := checkDescriptor(d, MaxManifestSize); err != nil {
		return fetched{}, unusable("index %s: %w", index.desc.Digest, err)
	}
	return r.fetch(ctx, d)
}

func (r *resolver) fetch(ctx context.Context, want ocispec.Descriptor) (fetched, error) {
	desc, body, err := r.document(ctx, want)
	if err != nil {
		return fetched{}, err
	}
	doc, err := parseDocument(body, want.MediaType, desc.MediaType)
	if e, ok := errors.AsType[*UnusableError](err); ok {
		e.Digest = desc.Digest
	}
	return fetched{document: doc, desc: desc, body: body}, err
}

// document returns the bytes of a manifest or index: those that its descriptor holds, or what is served.
func (r *resolver) document(ctx context.Context, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	if data, ok := Inline(want); ok {
		return want, data, nil
	}
	if r.fetches.Add(1) > r.most {
		return ocispec.Descriptor{}, nil, unusable("more than %d manifests on the way from the tag to the image", r.most)
	}
	return r.fetcher.Fetch(ctx, r.ref, want)
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
		case !ok && IsIndex(d.MediaType):
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
	return d.MediaType != "" && !IsIndex(d.MediaType) && !IsManifest(d.MediaType) ||
		d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}
