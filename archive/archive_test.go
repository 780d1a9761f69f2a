package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/segpull/segpull/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory holds blobs.
type memory map[digest.Digest][]byte

func (m memory) Blob(d digest.Digest) (*io.SectionReader, error) {
	b, ok := m[d]
	if !ok {
		return nil, errMissing
	}
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), nil
}

func (m memory) add(mediaType string, b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	m[d] = b
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

var errMissing = errors.New("no such blob")

// testLayer is a tar with one file, as a registry keeps it.
type testLayer struct {
	tar        []byte
	compressed []byte
	mediaType  string
}

func plain(content string) testLayer {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	must(tw.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}))
	_, err := io.WriteString(tw, content)
	must(err)
	must(tw.Close())
	return testLayer{buf.Bytes(), buf.Bytes(), ocispec.MediaTypeImageLayer}
}

func gzipped(content string) testLayer {
	l := plain(content)
	l.mediaType = ocispec.MediaTypeImageLayerGzip
	l.compressed = gzippedBytes(l.tar)
	return l
}

func zstandard(content string) testLayer {
	l := plain(content)
	l.mediaType = ocispec.MediaTypeImageLayerZstd
	l.compressed = zstdBytes(l.tar)
	return l
}

func gzippedBytes(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(b)
	must(err)
	must(w.Close())
	return buf.Bytes()
}

func zstdBytes(b []byte, options ...zstd.EOption) []byte {
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, append(options, zstd.WithEncoderConcurrency(1))...)
	must(err)
	_, err = w.Write(b)
	must(err)
	must(w.Close())
	return buf.Bytes()
}

// newImage makes an image of layers, resolved from ref, and its blobs.
func newImage(ref string, layers ...testLayer) (image.Image, memory) {
	blobs := memory{}
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}
	descriptors := []ocispec.Descriptor{}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l.tar))
		descriptors = append(descriptors, blobs.add(l.mediaType, l.compressed))
	}
	return withConfig(ref, blobs, blobs.add(ocispec.MediaTypeImageConfig, encode(config)), descriptors), blobs
}

// withConfig makes an image from its blobs, and its manifest.
func withConfig(ref string, blobs memory, config ocispec.Descriptor, layers []ocispec.Descriptor) image.Image {
	r, err := image.ParseReference(ref)
	must(err)
	manifest := encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	return image.Image{
		Reference: r, Platform: image.DefaultPlatform(), Digest: d.Digest, Manifest: d, ManifestBytes: manifest,
		Config: config, Layers: layers,
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// written is an archive read back.
type written struct {
	names   []string // in order
	headers map[string]*tar.Header
	files   map[string][]byte
}

func readBack(t *testing.T, archive []byte) written {
	t.Helper()
	w := written{headers: map[string]*tar.Header{}, files: map[string][]byte{}}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return w
		}
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsLocal(h.Name) || w.headers[h.Name] != nil {
			t.Errorf("entry %q leads out or comes twice", h.Name)
		}
		w.names = append(w.names, h.Name)
		w.headers[h.Name] = h
		if w.files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, img image.Image, f Format, blobs Blobs) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(t.Context(), &buf, img, f, blobs); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestParseFormat(t *testing.T) {
	for in, want := range map[string]Format{"": DockerArchive, "docker-archive": DockerArchive, "legacy": Legacy, "oci": OCI, "oci-archive": OCIArchive} {
		if got, err := ParseFormat(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := ParseFormat("zip"); err == nil || !strings.Contains(err.Error(), "legacy") {
		t.Errorf("zip: %v", err)
	}
}

func TestDockerArchiveSatisfiesBothReaders(t *testing.T) {
	base, top := gzipped("base"), zstandard("top")
	img, blobs := newImage("nginx:1.27", base, top, base)
	got := readBack(t, write(t, img, DockerArchive, blobs))

	layers := []string{blobPath(img.Layers[0].Digest), blobPath(img.Layers[1].Digest)}
	sorted := slices.Sorted(slices.Values(layers))
	want := append([]string{
		"blobs/", "blobs/sha256/", "index.json", "manifest.json", "oci-layout",
		blobPath(img.Manifest.Digest), blobPath(img.Config.Digest),
	}, sorted...)
	if !slices.Equal(got.names, want) {
		t.Errorf("entries\n%s\nwant\n%s", strings.Join(got.names, "\n"), strings.Join(want, "\n"))
	}
	for name, h := range got.headers {
		mode := int64(0o644)
		if strings.HasSuffix(name, "/") {
			mode = 0o755
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) || h.Mode != mode || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s: %+v", name, h)
		}
	}
	for d, b := range blobs {
		if !bytes.Equal(got.files[blobPath(d)], b) {
			t.Errorf("blob %s is not as it was served", d)
		}
	}
	checkFile(t, got, blobPath(img.Manifest.Digest), string(img.ManifestBytes))
	checkFile(t, got, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	checkFile(t, got, "manifest.json", fmt.Sprintf(`[{"Config":%q,"RepoTags":["nginx:1.27"],"Layers":[%q,%q,%q]}]`,
		blobPath(img.Config.Digest), layers[0], layers[1], layers[0]))
	checkFile(t, got, "index.json", fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d,"annotations":{`+
		`"io.containerd.image.name":"docker.io/library/nginx:1.27","org.opencontainers.image.ref.name":"1.27"}}]}`,
		img.Manifest.Digest, img.Manifest.Size))
}

func checkFile(t *testing.T, w written, name, want string) {
	t.Helper()
	if got := string(w.files[name]); got != want {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

func TestOCIArchiveHasNoManifestJSON(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	got := readBack(t, write(t, img, OCIArchive, blobs))
	if got.headers["manifest.json"] != nil || got.headers["index.json"] == nil || got.headers["oci-layout"] == nil {
		t.Errorf("entries %v", got.names)
	}
}

func TestTheSameImageGivesTheSameBytes(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"), zstandard("y"), plain("z"))
	for _, f := range []Format{DockerArchive, OCIArchive, Legacy} {
		if !bytes.Equal(write(t, img, f, blobs), write(t, img, f, blobs)) {
			t.Errorf("%s: two runs differ", f)
		}
	}
}

func TestWriteChecksTheConfigAgainstTheManifest(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"), gzipped("y"))
	img = withConfig("a/b:1", blobs, img.Config, img.Layers[:1])
	for _, f := range []Format{DockerArchive, Legacy} {
		err := Write(t.Context(), io.Discard, img, f, blobs)
		if err == nil || !strings.Contains(err.Error(), "2 diff IDs but its manifest has 1 layers") {
			t.Errorf("%s: %v", f, err)
		}
	}
	if err := CheckConfig(img, blobs[img.Config.Digest]); err == nil {
		t.Error("CheckConfig let it pass")
	}
	if err := CheckConfig(img, []byte("{")); err == nil {
		t.Error("CheckConfig let broken JSON pass")
	}
	write(t, img, OCIArchive, blobs)
}

func TestArtifactsAreKeptInOCIFormatsAlone(t *testing.T) {
	blobs := memory{}
	config := blobs.add("application/vnd.cncf.helm.config.v1+json", []byte(`{}`))
	chart := withConfig("a/chart:1", blobs, config, []ocispec.Descriptor{blobs.add("application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte("x"))})
	for _, f := range []Format{DockerArchive, Legacy} {
		if err := Write(t.Context(), io.Discard, chart, f, blobs); err == nil || !strings.Contains(err.Error(), "not a container image") {
			t.Errorf("%s: %v", f, err)
		}
	}
	write(t, chart, OCIArchive, blobs)
}

func TestWriteRefuses(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	without, short := memory{img.Config.Digest: blobs[img.Config.Digest]}, memory{img.Config.Digest: blobs[img.Config.Digest]}
	short[img.Layers[0].Digest] = []byte("short")
	evil := img
	evil.Layers = []ocispec.Descriptor{{Digest: "sha256:../../etc/passwd"}}
	other := img
	other.ManifestBytes = []byte("{}")
	tests := []struct {
		name  string
		img   image.Image
		f     Format
		blobs Blobs
		says  string
	}{
		{"a directory as a stream", img, OCI, blobs, "oci-archive"},
		{"a missing blob", img, DockerArchive, without, "no such blob"},
		{"a missing blob", img, Legacy, without, "no such blob"},
		{"a blob of another size", img, DockerArchive, short, "has 5 bytes"},
		{"a blob of another size", img, Legacy, short, "has 5 bytes"},
		{"a digest that is a path", evil, DockerArchive, blobs, "digest"},
		{"a digest that is a path", evil, Legacy, blobs, "digest"},
		{"another manifest", other, OCIArchive, blobs, "manifest"},
	}
	for _, tt := range tests {
		err := Write(t.Context(), io.Discard, tt.img, tt.f, tt.blobs)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s, %s: %v", tt.name, tt.f, err)
		}
	}
	if err := Write(t.Context(), io.Discard, img, DockerArchive, without); !errors.Is(err, errMissing) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// tripwire cancels a context when n bytes have been written.
type tripwire struct {
	left   int
	cancel context.CancelFunc
}

func (w *tripwire) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left <= 0 {
		w.cancel()
	}
	return len(p), nil
}

func TestWriteStopsInTheMiddleOfABlob(t *testing.T) {
	big := plain(strings.Repeat("x", 8<<20))
	img, blobs := newImage("a/b:1", big)
	for _, f := range []Format{DockerArchive, OCIArchive, Legacy} {
		ctx, cancel := context.WithCancel(t.Context())
		w := &tripwire{left: 1 << 20, cancel: cancel}
		if err := Write(ctx, w, img, f, blobs); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", f, err)
		}
		if w.left < -2*copyBuffer {
			t.Errorf("%s: went on for %d bytes", f, -w.left)
		}
	}
}

func TestWriteFromFileToFile(t *testing.T) {
	// The kernel copies between files; the bytes must be the same, and the source's position untouched.
	big := plain(strings.Repeat("0123456789abcdef", 200_000))
	img, blobs := newImage("a/b:1", big)
	source, err := os.Create(filepath.Join(t.TempDir(), "blobs"))
	must(err)
	defer source.Close()
	files := fileBlobs{source, map[digest.Digest][2]int64{}}
	var at int64
	for d, b := range blobs {
		n, err := source.Write(b)
		must(err)
		files.at[d] = [2]int64{at, int64(n)}
		at += int64(n)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(err)
	defer out.Close()
	if err := Write(t.Context(), out, img, DockerArchive, files); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out.Name())
	must(err)
	if !bytes.Equal(got, write(t, img, DockerArchive, blobs)) {
		t.Error("a copy by the kernel gave other bytes")
	}
	if pos, err := source.Seek(0, io.SeekCurrent); pos != at || err != nil {
		t.Errorf("the source's position moved from %d to %d, %v", at, pos, err)
	}
	must(source.Truncate(at - 1))
	if err := Write(t.Context(), out, img, DockerArchive, files); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("a file that shrank: %v", err)
	}
}

// fileBlobs are sections of one file.
type fileBlobs struct {
	file *os.File
	at   map[digest.Digest][2]int64 // offset, size
}

func (f fileBlobs) Blob(d digest.Digest) (*io.SectionReader, error) {
	return io.NewSectionReader(f.file, f.at[d][0], f.at[d][1]), nil
}
