package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLayersAreRealTarsOfExactlyTheSizeAskedFor(t *testing.T) {
	for _, c := range []Compression{Gzip, Zstd, Uncompressed} {
		for _, size := range []int64{2048, 4096, 5000, 65535, 65536, 131072 + 7, 1<<20 + 12345} {
			t.Run(fmt.Sprint(c, size), func(t *testing.T) {
				want := size
				if c == Uncompressed {
					want &^= 511
				}
				img := NewImage(ImageOptions{Layers: []int64{size}, Compression: c})
				if got := img.Layers[0].Size; got != want {
					t.Errorf("layer has %d bytes, want %d", got, want)
				}
				checkLayer(t, c, img)
			})
		}
	}
}

// checkLayer unpacks the first layer and compares it with its digests.
func checkLayer(t *testing.T, c Compression, img Image) {
	t.Helper()
	blob := img.Layers[0].Bytes()
	if got := digest.FromBytes(blob); got != img.Layers[0].Digest {
		t.Errorf("layer's digest is %s, its descriptor says %s", got, img.Layers[0].Digest)
	}
	content := unpack(t, c, blob)
	var config ocispec.Image
	if err := json.Unmarshal(img.Config.Bytes(), &config); err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(content); got != config.RootFS.DiffIDs[0] {
		t.Errorf("tar's digest is %s, the config says %s", got, config.RootFS.DiffIDs[0])
	}
	files := tar.NewReader(bytes.NewReader(content))
	if _, err := files.Next(); err != nil {
		t.Fatalf("first file of the tar: %v", err)
	}
	if _, err := files.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("end of the tar: %v, want EOF", err)
	}
}

func unpack(t *testing.T, c Compression, blob []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(blob)
	var err error
	switch c {
	case Gzip:
		r, err = gzip.NewReader(r)
	case Zstd:
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(r); err == nil {
			defer decoder.Close()
		}
		r = decoder
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestBlobsReadTheSameInAnyOrder(t *testing.T) {
	blobs := map[string]Blob{
		"random": RandomBlob(7, 300_001),
		"gzip":   NewImage(ImageOptions{Layers: []int64{300_001}}).Layers[0],
		"zstd":   NewImage(ImageOptions{Layers: []int64{300_001}, Compression: Zstd}).Layers[0],
	}
	for name, b := range blobs {
		t.Run(name, func(t *testing.T) {
			whole := b.Bytes()
			dice := rand.New(rand.NewPCG(1, 1))
			for range 200 {
				start := dice.Int64N(b.Size)
				p := make([]byte, dice.Int64N(min(b.Size-start, 70_000))+1)
				if n, err := b.ReadAt(p, start); n != len(p) || err != nil && !errors.Is(err, io.EOF) {
					t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", len(p), start, n, err)
				}
				if !bytes.Equal(p, whole[start:start+int64(len(p))]) {
					t.Fatalf("bytes from %d on differ from the whole", start)
				}
			}
			if n, err := b.ReadAt(make([]byte, 2), b.Size-1); n != 1 || !errors.Is(err, io.EOF) {
				t.Errorf("ReadAt beyond the end = %d, %v; want 1, EOF", n, err)
			}
		})
	}
}

func TestTarsBeyondTheOldSizeFieldAreWhole(t *testing.T) {
	const size = 9 << 30 // ustar's size field ends at 8 GiB
	content := noiseTar("big", 1, size)
	if content.Size() != size {
		t.Fatalf("tar has %d bytes, want %d", content.Size(), int64(size))
	}
	header, err := tar.NewReader(section(content, size)).Next()
	if err != nil || header.Size != size-3*tarUnit-tarTrailer {
		t.Errorf("header is %+v, %v", header, err)
	}
}

func TestImagesDependOnTheirOptionsAlone(t *testing.T) {
	opts := ImageOptions{Seed: 3, Layers: []int64{4096, 4096}}
	a, b := NewImage(opts), NewImage(opts)
	if a.Manifest.Digest != b.Manifest.Digest {
		t.Error("the same options gave two manifests")
	}
	if a.Layers[0].Digest == a.Layers[1].Digest {
		t.Error("two layers have the same bytes")
	}
	opts.Seed++
	if c := NewImage(opts); c.Layers[0].Digest == a.Layers[0].Digest {
		t.Error("two seeds gave the same layer")
	}
}

func TestMediaTypes(t *testing.T) {
	tests := map[string]struct {
		opts                    ImageOptions
		manifest, config, layer string
	}{
		"oci": {
			ImageOptions{},
			"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json",
			"application/vnd.oci.image.layer.v1.tar+gzip",
		},
		"oci zstd": {
			ImageOptions{Compression: Zstd},
			"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json",
			"application/vnd.oci.image.layer.v1.tar+zstd",
		},
		"docker": {
			ImageOptions{Docker: true},
			"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json",
			"application/vnd.docker.image.rootfs.diff.tar.gzip",
		},
		"docker uncompressed": {
			ImageOptions{Docker: true, Compression: Uncompressed},
			"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json",
			"application/vnd.docker.image.rootfs.diff.tar",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			img := NewImage(tt.opts)
			var manifest ocispec.Manifest
			if err := json.Unmarshal(img.Manifest.Bytes(), &manifest); err != nil {
				t.Fatal(err)
			}
			got := []string{img.Manifest.MediaType, manifest.MediaType, manifest.Config.MediaType, manifest.Layers[0].MediaType}
			want := []string{tt.manifest, tt.manifest, tt.config, tt.layer}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("media types are %q, want %q", got, want)
			}
		})
	}
}

func TestIndexListsItsPlatforms(t *testing.T) {
	amd := NewImage(ImageOptions{Docker: true, Platform: "linux/amd64"})
	arm := NewImage(ImageOptions{Docker: true, Platform: "linux/arm/v7", Seed: 1})
	img := NewIndex(amd, arm)
	var index ocispec.Index
	if err := json.Unmarshal(img.Manifest.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	if index.MediaType != "application/vnd.docker.distribution.manifest.list.v2+json" || len(index.Manifests) != 2 {
		t.Fatalf("index is %s", img.Manifest.Bytes())
	}
	entry := index.Manifests[1]
	if entry.Digest != arm.Manifest.Digest || entry.Platform.Architecture != "arm" || entry.Platform.Variant != "v7" {
		t.Errorf("second entry is %+v", entry)
	}
}

func TestBinaryBecomesTheEntrypoint(t *testing.T) {
	img := NewImage(ImageOptions{Binary: []byte("#!"), Layers: []int64{4096}})
	checkLayer(t, Gzip, img)
	files := tar.NewReader(bytes.NewReader(unpack(t, Gzip, img.Layers[0].Bytes())))
	header, err := files.Next()
	if err != nil || header.Name != "app" || header.Mode != 0o755 {
		t.Errorf("file is %+v, %v", header, err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(img.Config.Bytes(), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Config.Entrypoint) != 1 || config.Config.Entrypoint[0] != "/app" || config.Architecture != runtime.GOARCH {
		t.Errorf("config is %s", img.Config.Bytes())
	}
}

func TestEditsApplyLast(t *testing.T) {
	img := NewImage(ImageOptions{
		EditConfig:   func(c *ocispec.Image) { c.Author = "nobody" },
		EditManifest: func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) },
	})
	var manifest ocispec.Manifest
	if err := json.Unmarshal(img.Manifest.Bytes(), &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Layers) != 2 || manifest.Config.Digest != img.Config.Digest ||
		!bytes.Contains(img.Config.Bytes(), []byte("nobody")) {
		t.Errorf("manifest is %s", img.Manifest.Bytes())
	}
}

func BenchmarkNewImage(b *testing.B) {
	const size = 256 << 20
	b.SetBytes(size)
	for b.Loop() {
		NewImage(ImageOptions{Layers: []int64{size}})
	}
}
