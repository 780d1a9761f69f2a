package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLegacyIsWhatDockerSaveWrote(t *testing.T) {
	img, blobs := newImage("ghcr.io/a/alpine:3", gzipped("base"), zstandard("middle"), plain("top"))
	got := readBack(t, write(t, img, Legacy, blobs))

	var manifests []dockerManifest
	must(json.Unmarshal(got.files["manifest.json"], &manifests))
	m := manifests[0]
	config := img.Config.Digest.Encoded() + ".json"
	if m.Config != config || !slices.Equal(m.RepoTags, []string{"ghcr.io/a/alpine:3"}) || len(m.Layers) != 3 {
		t.Fatalf("manifest.json: %+v", m)
	}
	want := []string{config, "manifest.json", "repositories"}
	parent := ""
	for i, path := range m.Layers {
		id := strings.TrimSuffix(path, "/layer.tar")
		want = append(want, id+"/", id+"/VERSION", id+"/json", path)
		checkFile(t, got, id+"/VERSION", "1.0")
		var doc map[string]any
		must(json.Unmarshal(got.files[id+"/json"], &doc))
		if doc["id"] != id || doc["os"] != "linux" || i > 0 && doc["parent"] != parent || i == 0 && doc["parent"] != nil {
			t.Errorf("layer %d: json %s", i+1, got.files[id+"/json"])
		}
		if _, ok := doc["rootfs"]; ok || doc["history"] != nil {
			t.Errorf("layer %d: json has rootfs or history", i+1)
		}
		if (doc["architecture"] == "amd64") != (i == 2) {
			t.Errorf("layer %d: the config belongs to the top layer alone", i+1)
		}
		parent = id
	}
	if !slices.Equal(got.names, want) {
		t.Errorf("entries\n%s\nwant\n%s", strings.Join(got.names, "\n"), strings.Join(want, "\n"))
	}
	checkFile(t, got, "repositories", fmt.Sprintf(`{"ghcr.io/a/alpine":{"3":%q}}`, parent))
	checkFile(t, got, config, string(blobs[img.Config.Digest]))
	for i, l := range []testLayer{plain("base"), plain("middle"), plain("top")} {
		checkFile(t, got, m.Layers[i], string(l.tar))
	}
}

func TestLegacyLayerIDsAreDockers(t *testing.T) {
	// The config and the ids come from one docker save of Docker 20.10.
	raw, err := os.ReadFile("testdata/docker-20.10.json")
	must(err)
	var config ocispec.Image
	must(json.Unmarshal(raw, &config))
	layers, err := v1Layers(imageConfig{raw, config.RootFS.DiffIDs})
	must(err)
	want := []string{
		"f9a21d6c2af7079bc923457355957f7da8d979b1061c1209382e55f4c200ea11",
		"0336c1b9c687d77e0b13d6d1845c664deae24b6311f714e9b53e3ba4e4a83297",
		"ac0a4735ce394f5c449f8ec797b4331a6b7a99fa784a7fcc0c6c94721da60a69",
	}
	for i, layer := range layers {
		if layer.id != want[i] {
			t.Errorf("layer %d: %s, Docker has %s", i+1, layer.id, want[i])
		}
	}
}

func TestLegacyWritesARepeatedLayerOnce(t *testing.T) {
	// The same content, once as gzip and once as zstd, is one layer to Docker.
	img, blobs := newImage("a/b:1", gzipped("x"), plain("y"), zstandard("x"), gzipped("x"))
	got := readBack(t, write(t, img, Legacy, blobs))
	var manifests []dockerManifest
	must(json.Unmarshal(got.files["manifest.json"], &manifests))
	layers := manifests[0].Layers
	if len(layers) != 4 || layers[0] == layers[2] || layers[2] == layers[3] {
		t.Fatalf("layers %v", layers)
	}
	for _, i := range []int{2, 3} {
		if h := got.headers[layers[i]]; h.Linkname != "../"+layers[0] || h.Size != 0 {
			t.Errorf("layer %d: %+v", i+1, h)
		}
	}
}

func TestLegacyWithoutTagOrLayers(t *testing.T) {
	untagged, blobs := newImage("a/b@sha256:"+strings.Repeat("0", 64), gzipped("x"))
	got := readBack(t, write(t, untagged, Legacy, blobs))
	if got.headers["repositories"] != nil || !strings.Contains(string(got.files["manifest.json"]), `"RepoTags":null`) {
		t.Errorf("untagged: %v, %s", got.names, got.files["manifest.json"])
	}
	bare, blobs := newImage("a/b:1")
	got = readBack(t, write(t, bare, Legacy, blobs))
	if !strings.Contains(string(got.files["manifest.json"]), `"Layers":[]`) || len(got.names) != 2 {
		t.Errorf("without layers: %v, %s", got.names, got.files["manifest.json"])
	}
}

func TestLegacyDecompressesEveryUsualForm(t *testing.T) {
	l := plain(strings.Repeat("x", 1000))
	half := len(l.tar) / 2
	forms := map[string][]byte{
		"gzip":                            gzippedBytes(l.tar),
		"gzip in members, as eStargz":     slices.Concat(gzippedBytes(l.tar[:half]), gzippedBytes(l.tar[half:])),
		"zstd":                            zstdBytes(l.tar),
		"zstd in frames, as zstd:chunked": slices.Concat(zstdBytes(l.tar[:half]), zstdBytes(l.tar[half:])),
		"zstd after a skippable frame":    slices.Concat([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, zstdBytes(l.tar)),
		"zstd with the widest window":     zstdBytes(l.tar, zstd.WithWindowSize(maxWindow), zstd.WithSingleSegment(false)),
		"not at all":                      l.tar,
	}
	for name, compressed := range forms {
		l.compressed = compressed
		img, blobs := newImage("a/b:1", l)
		got := readBack(t, write(t, img, Legacy, blobs))
		var manifests []dockerManifest
		must(json.Unmarshal(got.files["manifest.json"], &manifests))
		if !bytes.Equal(got.files[manifests[0].Layers[0]], l.tar) {
			t.Errorf("%s: other content", name)
		}
	}
}

func TestLegacyRefusesDamagedLayers(t *testing.T) {
	good := gzipped(strings.Repeat("x", 1000))
	window := plain(strings.Repeat("x", 1000))
	// A frame header that asks for a window of 2 GiB (RFC 8878, 3.1.1.1.2), then an empty last block.
	window.compressed = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00}
	tests := []struct {
		name       string
		compressed []byte
		says       string
	}{
		{"other content", gzippedBytes([]byte("other")), "its config says"},
		{"an unknown compression", []byte("BZh91AY&SY"), "its config says"},
		{"cut off", good.compressed[:len(good.compressed)-10], "unexpected EOF"},
		{"a broken header", []byte{0x1f, 0x8b, 0x08, 0xff}, "layer"},
		{"a huge zstd window", window.compressed, "window size exceeded"},
		{"empty", nil, "its config says"},
	}
	for _, tt := range tests {
		bad := good
		bad.compressed = tt.compressed
		img, blobs := newImage("a/b:1", plain("base"), bad)
		var out bytes.Buffer
		err := Write(t.Context(), &out, img, Legacy, blobs)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), img.Layers[1].Digest.String()) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if out.Len() > 0 {
			t.Errorf("%s: %d bytes were written before it was noticed", tt.name, out.Len())
		}
	}
}

// A disk that fails for a moment, as the first bytes of a layer are read, must
// not have it taken for one that is not compressed.
func TestLegacyReportsADiskThatFails(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("content"))
	err := Write(t.Context(), io.Discard, img, Legacy, failingOnce{blobs, img.Layers[0].Digest})
	if !errors.Is(err, errDisk) {
		t.Errorf("Write() = %v, want that the disk failed", err)
	}
}

var errDisk = errors.New("input/output error")

// failingOnce are blobs of which the first read of one fails.
type failingOnce struct {
	Blobs
	of digest.Digest
}

func (f failingOnce) Blob(d digest.Digest) (*io.SectionReader, error) {
	r, err := f.Blobs.Blob(d)
	if err != nil || d != f.of {
		return r, err
	}
	return io.NewSectionReader(&failOnce{ReaderAt: r}, 0, r.Size()), nil
}

type failOnce struct {
	io.ReaderAt
	failed bool
}

func (f *failOnce) ReadAt(p []byte, off int64) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

func FuzzV1Layers(f *testing.F) {
	raw, err := os.ReadFile("testdata/docker-20.10.json")
	must(err)
	f.Add(raw, 3)
	f.Add([]byte(`{"rootfs":{"diff_ids":["x"]},"os":1,"rootfS":[]}`), 1)
	f.Add([]byte(`null`), 0)
	f.Add([]byte(`{"rootfs":{"diff_ids":["",""]},"History":null,"id":"x"}`), 2)
	f.Fuzz(func(t *testing.T, raw []byte, layers int) {
		img, _ := newImage("a/b:1")
		img.Layers = make([]ocispec.Descriptor, min(max(layers, 0), 100))
		config, err := parseConfig(img, raw)
		if err != nil {
			return
		}
		got, err := v1Layers(config)
		if err != nil {
			return
		}
		for i, l := range got {
			if digest.NewDigestFromEncoded(digest.SHA256, l.id).Validate() != nil || !json.Valid(l.json) {
				t.Errorf("layer %d: id %q, json %s", i+1, l.id, l.json)
			}
		}
	})
}
