package soak

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
)

// image is the image that a round pulls.
type image struct {
	pushed   registrytest.Image // what the tag names: the image, or an index of several
	image    registrytest.Image // the one for the platform
	platform string
	diffIDs  []digest.Digest
	layers   []ocispec.Descriptor // as in the manifest, with repeated ones
}

// maxBytes limits the size of an image's layers, so that a round takes seconds.
const maxBytes = 32 * mib

// drawImage makes an image of 1 to 8 layers, of several compressions, some of
// them repeated, and sometimes an index of several images.
func drawImage(rnd random) image {
	i := image{platform: pick(rnd, "linux/amd64", "linux/arm64", "linux/arm/v7")}
	docker := rnd.chance(0.3)
	layers := drawLayers(rnd, docker)
	if rnd.chance(0.1) {
		layers = append(layers, emptyLayer(docker))
	}
	for range rnd.IntN(2) {
		layers = append(layers, pick(rnd, layers...))
	}
	rnd.Shuffle(len(layers), func(a, b int) { layers[a], layers[b] = layers[b], layers[a] })
	var blobs []registrytest.Blob
	for _, l := range layers {
		blobs = append(blobs, l.Blob)
		i.layers = append(i.layers, l.Descriptor)
		i.diffIDs = append(i.diffIDs, l.diffID)
	}
	i.image = registrytest.NewImage(registrytest.ImageOptions{
		Layers: []int64{}, Docker: docker, Platform: i.platform,
		EditConfig:   func(c *ocispec.Image) { c.RootFS.DiffIDs = i.diffIDs },
		EditManifest: func(m *ocispec.Manifest) { m.Layers = i.layers },
	})
	i.image.Layers = blobs
	i.pushed = i.image
	if rnd.chance(0.4) {
		i.pushed = registrytest.NewIndex(
			registrytest.NewImage(registrytest.ImageOptions{Seed: rnd.Uint64(), Docker: docker, Platform: "linux/s390x"}),
			i.image,
			registrytest.NewImage(registrytest.ImageOptions{Seed: rnd.Uint64(), Docker: docker, Platform: "unknown/unknown"}),
		)
	}
	return i
}

type layer struct {
	registrytest.Blob
	diffID digest.Digest
}

// drawLayers makes layers of all compressions. registrytest makes images of
// one compression, so each one gives an image whose layers are taken.
func drawLayers(rnd random, docker bool) (layers []layer) {
	left := int64(maxBytes)
	sizes := map[registrytest.Compression][]int64{}
	kinds := []registrytest.Compression{registrytest.Gzip, registrytest.Zstd, registrytest.Uncompressed}
	for range rnd.between(1, 6) {
		size := min(rnd.size(2*kib, 20*mib), left/2)
		left -= size
		kind := pick(rnd, kinds...)
		sizes[kind] = append(sizes[kind], size)
	}
	for _, kind := range kinds {
		if len(sizes[kind]) == 0 {
			continue
		}
		img := registrytest.NewImage(registrytest.ImageOptions{Seed: rnd.Uint64(), Layers: sizes[kind], Compression: kind, Docker: docker})
		var config ocispec.Image
		if err := json.Unmarshal(img.Config.Bytes(), &config); err != nil {
			panic(fmt.Sprintf("bench: the config of an image made here: %v", err))
		}
		for n, blob := range img.Layers {
			layers = append(layers, layer{blob, config.RootFS.DiffIDs[n]})
		}
	}
	return layers
}

// emptyLayer has no bytes, so no range of it can be requested.
func emptyLayer(docker bool) layer {
	mediaType := ocispec.MediaTypeImageLayer
	if docker {
		mediaType = "application/vnd.docker.image.rootfs.diff.tar"
	}
	return layer{registrytest.NewBlob(mediaType, nil), digest.FromBytes(nil)}
}

// blobs are what a pull has to fetch, each digest once.
func (i image) blobs() []registrytest.Blob {
	var all []registrytest.Blob
	seen := map[digest.Digest]bool{}
	for _, b := range append([]registrytest.Blob{i.image.Config}, i.image.Layers...) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			all = append(all, b)
		}
	}
	return all
}

// target is one of the blobs that have bytes to corrupt.
func (i image) target(rnd random) registrytest.Blob {
	return pick(rnd, slices.DeleteFunc(i.blobs(), func(b registrytest.Blob) bool { return b.Size == 0 })...)
}

// size is the bytes of the blobs.
func (i image) size() (n int64) {
	for _, b := range i.blobs() {
		n += b.Size
	}
	return n
}

func (i image) String() string {
	return fmt.Sprintf("%d layers, %d blobs, %s, %s, %s", len(i.layers), len(i.blobs()), inMiB(i.size()), i.platform, i.pushed.Manifest.MediaType)
}
