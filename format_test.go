package segpull_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestEachFormatHoldsTheImage(t *testing.T) {
	images := map[string]registrytest.ImageOptions{
		"oci gzip":    {Layers: []int64{300 * kib, 70 * kib}},
		"docker gzip": {Layers: []int64{300 * kib, 70 * kib}, Docker: true},
		"zstd":        {Layers: []int64{300 * kib, 70 * kib}, Compression: registrytest.Zstd},
		"plain tar":   {Layers: []int64{300 * kib, 70 * kib}, Compression: registrytest.Uncompressed},
		"repeated layer": {Layers: []int64{300 * kib}, EditConfig: func(c *ocispec.Image) {
			c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, c.RootFS.DiffIDs[0])
		}, EditManifest: func(m *ocispec.Manifest) {
			m.Layers = append(m.Layers, m.Layers[0])
		}},
	}
	for name, opts := range images {
		opts.Platform = "linux/amd64"
		img := registrytest.NewImage(opts)
		m := serve(t, 2, img)
		for format, check := range map[string]func(*testing.T, fs.FS, registrytest.Image){
			"docker-archive": checkDocker,
			"oci-archive":    checkOCI,
			"oci":            checkOCI,
			"legacy":         checkLegacy,
		} {
			t.Run(name+" as "+format, func(t *testing.T) {
				t.Parallel()
				r := m.mustPull(t, segpull.Options{Format: format})
				if r.ImageID != img.Config.Digest.String() || r.Digest != img.Manifest.Digest.String() {
					t.Errorf("image id %s and digest %s are not those of the image", r.ImageID, r.Digest)
				}
				check(t, contents(t, r.Path), img)
				wantFiles(t, filepath.Dir(r.Path), filepath.Base(r.Path))
			})
		}
	}
}

func TestTheSameImageGivesTheSameBytes(t *testing.T) {
	img := imageOf(1, 2*mib, 300*kib)
	m := serve(t, 3, img)
	for _, format := range []string{"docker-archive", "oci-archive", "legacy"} {
		t.Run(format, func(t *testing.T) {
			file := m.mustPull(t, segpull.Options{Format: format})
			again := m.mustPull(t, segpull.Options{Format: format, Mirrors: m.urls[:1], Connections: 1, SegmentSize: 256 * kib})
			var streamed bytes.Buffer
			t.Chdir(t.TempDir())
			r := m.mustPull(t, segpull.Options{Format: format, Output: "-", Stdout: &streamed})
			if r.Path != "-" {
				t.Errorf("path %q instead of -", r.Path)
			}
			wantFiles(t, ".")
			want := readFile(t, file.Path)
			if !bytes.Equal(want, readFile(t, again.Path)) || !bytes.Equal(want, streamed.Bytes()) {
				t.Error("other bytes")
			}
		})
	}
}

func TestReferencesByDigest(t *testing.T) {
	img := imageOf(1, 70*kib)
	m := serve(t, 1, img)
	for name, tags := range map[string]string{
		"registry.example/team/app@" + img.Manifest.Digest.String():   "",
		"registry.example/team/app:1@" + img.Manifest.Digest.String(): "registry.example/team/app:1",
	} {
		results, err := m.pull(t, segpull.Options{}, name)
		if err != nil {
			t.Fatal(err)
		}
		var manifests []struct{ RepoTags []string }
		readJSON(t, contents(t, results[0].Path), "manifest.json", &manifests)
		if got := strings.Join(manifests[0].RepoTags, " "); got != tags {
			t.Errorf("%s is to be loaded as %q, not %q", name, got, tags)
		}
	}
	other := imageOf(2, 4*kib).Manifest.Digest.String()
	_, err := m.pull(t, segpull.Options{}, "registry.example/team/app:1@"+other)
	wantCode(t, err, segpull.ExitNotFound, other)
}

// What can't be written to its end does not fill the disk: only what was
// fetched stays.
func TestAnArchiveThatFailsIsNotLeft(t *testing.T) {
	t.Parallel()
	m := serve(t, 1, registrytest.NewImage(registrytest.ImageOptions{
		Layers: []int64{300 * kib}, Platform: "linux/amd64",
		EditConfig: func(c *ocispec.Image) { c.RootFS.DiffIDs[0] = digest.FromString("another") },
	}))
	out := filepath.Join(t.TempDir(), "app.tar")
	_, err := m.pull(t, segpull.Options{Output: out, Format: "legacy"})
	wantCode(t, err, 1, "write "+out)
	wantFiles(t, out+".segpull", "lock", "part", "state")
}

// contents opens an archive, or a folder, as a file system.
func contents(t *testing.T, name string) fs.FS {
	t.Helper()
	if info, err := os.Stat(name); err != nil {
		t.Fatal(err)
	} else if info.IsDir() {
		return os.DirFS(name)
	}
	dir := t.TempDir()
	r := tar.NewReader(bytes.NewReader(readFile(t, name)))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return os.DirFS(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeSymlink { // docker save's way to repeat a layer
			err = os.Symlink(h.Linkname, at)
		} else {
			err = os.WriteFile(at, body, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkDocker(t *testing.T, f fs.FS, img registrytest.Image) {
	t.Helper()
	checkOCI(t, f, img) // it is both
	var manifests []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	readJSON(t, f, "manifest.json", &manifests)
	if len(manifests) != 1 || strings.Join(manifests[0].RepoTags, " ") != "registry.example/team/app:1" {
		t.Fatalf("manifest.json lists %+v", manifests)
	}
	wantDigest(t, f, manifests[0].Config, img.Config.Digest)
	var manifest ocispec.Manifest
	readJSON(t, f, blobPath(img.Manifest.Digest), &manifest)
	for i, layer := range manifest.Layers {
		wantDigest(t, f, manifests[0].Layers[i], layer.Digest)
	}
}

func checkOCI(t *testing.T, f fs.FS, img registrytest.Image) {
	t.Helper()
	var index ocispec.Index
	readJSON(t, f, "index.json", &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != img.Manifest.Digest {
		t.Fatalf("index.json lists %+v", index.Manifests)
	}
	for _, b := range append([]registrytest.Blob{img.Manifest, img.Config}, img.Layers...) {
		wantDigest(t, f, blobPath(b.Digest), b.Digest)
	}
}

func checkLegacy(t *testing.T, f fs.FS, img registrytest.Image) {
	t.Helper()
	var manifests []struct {
		Config string
		Layers []string
	}
	readJSON(t, f, "manifest.json", &manifests)
	wantDigest(t, f, manifests[0].Config, img.Config.Digest)
	var config ocispec.Image
	readJSON(t, f, manifests[0].Config, &config)
	for i, id := range config.RootFS.DiffIDs {
		wantDigest(t, f, manifests[0].Layers[i], id)
	}
}

func blobPath(d digest.Digest) string { return path.Join("blobs/sha256", d.Encoded()) }

func wantDigest(t *testing.T, f fs.FS, name string, want digest.Digest) {
	t.Helper()
	body, err := fs.ReadFile(f, name)
	if err != nil {
		t.Error(err)
	} else if got := digest.FromBytes(body); got != want {
		t.Errorf("%s is %s, not %s", name, got, want)
	}
}

func readJSON(t *testing.T, f fs.FS, name string, v any) {
	t.Helper()
	body, err := fs.ReadFile(f, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
