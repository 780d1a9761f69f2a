package pulltest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
)

// TextImage is an image whose layers compress, as those of programs do; those
// of imageOf do not, and are stored as they are.
func TextImage(t *testing.T, seed uint64, sizes ...int64) registrytest.Image {
	t.Helper()
	var layers []registrytest.Blob
	var diffIDs []digest.Digest
	for i, size := range sizes {
		layer, diffID := textLayer(t, seed+uint64(i), size)
		layers, diffIDs = append(layers, layer), append(diffIDs, diffID)
	}
	img := registrytest.NewImage(registrytest.ImageOptions{
		Platform:   "linux/amd64",
		EditConfig: func(c *ocispec.Image) { c.RootFS.DiffIDs = diffIDs },
		EditManifest: func(m *ocispec.Manifest) {
			m.Layers = nil
			for _, l := range layers {
				m.Layers = append(m.Layers, l.Descriptor)
			}
		},
	})
	img.Layers = layers
	return img
}

// textLayer is a tar of files of words, packed by gzip to about size bytes.
func textLayer(t *testing.T, seed uint64, size int64) (registrytest.Blob, digest.Digest) {
	dice := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, 5000)
	for i := range words {
		words[i] = (strconv.FormatUint(dice.Uint64(), 36) + "0123456789")[:2+dice.IntN(9)]
	}
	var packed bytes.Buffer
	sum := sha256.New()
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	Must(t, err)
	files := tar.NewWriter(io.MultiWriter(z, sum))
	for n := 0; int64(packed.Len()) < size-32*kib; n++ {
		var text strings.Builder
		for text.Len() < 1000+dice.IntN(40000) {
			text.WriteString(words[min(dice.IntN(5000), dice.IntN(5000))])
			text.WriteByte(" \n=;"[dice.IntN(4)])
		}
		Must(t, files.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/lib/%d", n), Mode: 0o644, Size: int64(text.Len())}))
		_, err := io.WriteString(files, text.String())
		Must(t, err)
	}
	Must(t, files.Close())
	Must(t, z.Close())
	return registrytest.NewBlob(ocispec.MediaTypeImageLayerGzip, packed.Bytes()), digest.NewDigest(digest.SHA256, sum)
}
