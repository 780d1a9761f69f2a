package registrytest

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageOptions describes an image. The zero value is an OCI image of this
// machine's architecture with one layer of 64 KiB.
type ImageOptions struct {
	// Seed decides the bytes of the layers.
	Seed uint64
	// Layers has the size of each layer's blob in bytes, as it is served: at
	// least 2 KiB, and whole blocks of 512 if uncompressed; others are moved
	// to the nearest possible.
	Layers []int64
	// Compression of the layers. Default: Gzip.
	Compression Compression
	// Docker uses the media types of Docker's schema 2 instead of OCI's.
	Docker bool
	// Platform is OS/ARCH[/VARIANT]. Default: linux and this machine's
	// architecture. "unknown/unknown" is how attestations are listed.
	Platform string
	// Binary is a static executable. It becomes /app in a first layer of its
	// own, and the entrypoint.
	Binary []byte
	// EditConfig and EditManifest change the config and the manifest before they are
	// encoded: repeated layers, urls, absurd sizes.
	EditConfig   func(*ocispec.Image)
	EditManifest func(*ocispec.Manifest)
}

// Image is a manifest with its blobs, or an index with its images.
type Image struct {
	Manifest Blob // of an index: the index
	Platform ocispec.Platform
	Config   Blob
	Layers   []Blob
	Images   []Image // of an index
}

// NewImage returns an image. The same options give the same bytes.
func NewImage(opts ImageOptions) Image {
	if opts.Layers == nil && opts.Binary == nil {
		opts.Layers = []int64{64 << 10}
	}
	types := ociTypes
	if opts.Docker {
		types = dockerTypes
	}
	platform := parsePlatform(opts.Platform)
	layers, diffIDs := makeLayers(opts, types)
	config := newConfig(opts, types, platform, diffIDs)
	return Image{
		Manifest: newManifest(opts, types, config, layers),
		Platform: platform,
		Config:   config,
		Layers:   layers,
	}
}

// NewIndex returns an index of images: an OCI index, or Docker's manifest list if the
// first image is Docker's.
func NewIndex(images ...Image) Image {
	mediaType := ocispec.MediaTypeImageIndex
	if len(images) > 0 && images[0].Manifest.MediaType == dockerTypes.manifest {
		mediaType = dockerTypes.index
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType}
	for _, img := range images {
		entry := img.Manifest.Descriptor
		entry.Platform = &img.Platform
		index.Manifests = append(index.Manifests, entry)
	}
	return Image{Manifest: jsonBlob(mediaType, index), Images: images}
}

type mediaTypes struct{ index, manifest, config, layer string }

var (
	ociTypes = mediaTypes{
		index:    ocispec.MediaTypeImageIndex,
		manifest: ocispec.MediaTypeImageManifest,
		config:   ocispec.MediaTypeImageConfig,
		layer:    ocispec.MediaTypeImageLayer,
	}
	dockerTypes = mediaTypes{
		index:    "application/vnd.docker.distribution.manifest.list.v2+json",
		manifest: "application/vnd.docker.distribution.manifest.v2+json",
		config:   "application/vnd.docker.container.image.v1+json",
		layer:    "application/vnd.docker.image.rootfs.diff.tar",
	}
)

// layerOf joins with a plus sign in OCI's media types and a dot in Docker's.
func (t mediaTypes) layerOf(c Compression) string {
	switch {
	case c == Uncompressed:
		return t.layer
	case c == "":
		c = Gzip
	}
	if t == dockerTypes {
		return t.layer + "." + string(c)
	}
	return t.layer + "+" + string(c)
}

// makeLayers returns the layers and their diff IDs.
func makeLayers(opts ImageOptions, types mediaTypes) ([]Blob, []digest.Digest) {
	var tars, packed []*io.SectionReader
	if opts.Binary != nil {
		tar := tarball("app", 0o755, bytesSection(opts.Binary))
		tars, packed = append(tars, tar), append(packed, opts.Compression.pack(tar, 0))
	}
	for i, size := range opts.Layers {
		tarSize, padding := opts.Compression.fit(size)
		tar := noiseTar(fmt.Sprintf("data/%d-%d", opts.Seed, i), mix(opts.Seed)+uint64(i), tarSize)
		tars, packed = append(tars, tar), append(packed, opts.Compression.pack(tar, padding))
	}
	layers := make([]Blob, len(tars))
	diffIDs := make([]digest.Digest, len(tars))
	var wg sync.WaitGroup
	for i := range tars {
		wg.Go(func() { layers[i] = newBlob(types.layerOf(opts.Compression), packed[i]) })
		wg.Go(func() { diffIDs[i] = digestOf(tars[i]) })
	}
	wg.Wait()
	return layers, diffIDs
}

func newConfig(opts ImageOptions, types mediaTypes, p ocispec.Platform, diffIDs []digest.Digest) Blob {
	config := ocispec.Image{Created: &epoch, Platform: p, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs}}
	if opts.Binary != nil {
		config.Config.Entrypoint = []string{"/app"}
	}
	for range diffIDs {
		config.History = append(config.History, ocispec.History{Created: &epoch, CreatedBy: "registrytest"})
	}
	if opts.EditConfig != nil {
		opts.EditConfig(&config)
	}
	return jsonBlob(types.config, config)
}

func newManifest(opts ImageOptions, types mediaTypes, config Blob, layers []Blob) Blob {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: types.manifest,
		Config:    config.Descriptor,
	}
	for _, layer := range layers {
		manifest.Layers = append(manifest.Layers, layer.Descriptor)
	}
	if opts.EditManifest != nil {
		opts.EditManifest(&manifest)
	}
	return jsonBlob(types.manifest, manifest)
}

func jsonBlob(mediaType string, v any) Blob {
	b, err := json.Marshal(v)
	if err != nil {
		panic("registrytest: " + err.Error())
	}
	return NewBlob(mediaType, b)
}

func parsePlatform(s string) ocispec.Platform {
	if s == "" {
		s = "linux/" + runtime.GOARCH
	}
	fields := append(strings.SplitN(s, "/", 3), "", "")
	return ocispec.Platform{OS: fields[0], Architecture: fields[1], Variant: fields[2]}
}
