package pulltest

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
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

// WantError checks the class of an error (nil: none), that its text is one line, and that
// it contains words.
func WantError(t *testing.T, err, class error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error where one of class %v was due", class)
	}
	if got := classOf(err); got != class {
		t.Errorf("class %v instead of %v: %v", got, class, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("an error of several lines: %q", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func classOf(err error) error {
	for _, class := range []error{
		segpull.ErrUsage, segpull.ErrNotFound, segpull.ErrCredentials, segpull.ErrMismatch, segpull.ErrNetwork, segpull.ErrPermanent,
	} {
		if errors.Is(err, class) {
			return class
		}
	}
	return nil
}

// WantFiles checks the names of the files in a directory.
func WantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, not %q", dir, got, want)
	}
}

// WantPlainWords checks a message with words of a server.
func WantPlainWords(t *testing.T, said string) {
	t.Helper()
	if strings.ContainsFunc(said, func(r rune) bool { return !unicode.IsPrint(r) }) || len(said) > 1500 {
		t.Errorf("said %.2000q", said)
	}
}

// Contents opens an archive, or a directory, as a file system.
func Contents(t *testing.T, name string) fs.FS {
	t.Helper()
	if info, err := os.Stat(name); err != nil {
		t.Fatal(err)
	} else if info.IsDir() {
		return os.DirFS(name)
	}
	dir := t.TempDir()
	r := tar.NewReader(bytes.NewReader(ReadFile(t, name)))
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

func CheckDocker(t *testing.T, f fs.FS, img registrytest.Image) {
	t.Helper()
	CheckOCI(t, f, img) // it is both
	var manifests []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	ReadJSON(t, f, "manifest.json", &manifests)
	if len(manifests) != 1 || strings.Join(manifests[0].RepoTags, " ") != "registry.example/team/app:1" {
		t.Fatalf("manifest.json lists %+v", manifests)
	}
	WantDigest(t, f, manifests[0].Config, img.Config.Digest)
	var manifest ocispec.Manifest
	ReadJSON(t, f, BlobPath(img.Manifest.Digest), &manifest)
	for i, layer := range manifest.Layers {
		WantDigest(t, f, manifests[0].Layers[i], layer.Digest)
	}
}

func CheckOCI(t *testing.T, f fs.FS, img registrytest.Image) {
	t.Helper()
	var index ocispec.Index
	ReadJSON(t, f, "index.json", &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != img.Manifest.Digest {
		t.Fatalf("index.json lists %+v", index.Manifests)
	}
	for _, b := range append([]registrytest.Blob{img.Manifest, img.Config}, img.Layers...) {
		WantDigest(t, f, BlobPath(b.Digest), b.Digest)
	}
}

func CheckLegacy(t *testing.T, f fs.FS, img registrytest.Image) {
	t.Helper()
	var manifests []struct {
		Config string
		Layers []string
	}
	ReadJSON(t, f, "manifest.json", &manifests)
	WantDigest(t, f, manifests[0].Config, img.Config.Digest)
	var config ocispec.Image
	ReadJSON(t, f, manifests[0].Config, &config)
	for i, id := range config.RootFS.DiffIDs {
		WantDigest(t, f, manifests[0].Layers[i], id)
	}
}

func BlobPath(d digest.Digest) string { return path.Join("blobs/sha256", d.Encoded()) }

func WantDigest(t *testing.T, f fs.FS, name string, want digest.Digest) {
	t.Helper()
	body, err := fs.ReadFile(f, name)
	if err != nil {
		t.Error(err)
	} else if got := digest.FromBytes(body); got != want {
		t.Errorf("%s is %s, not %s", name, got, want)
	}
}

func ReadJSON(t *testing.T, f fs.FS, name string, v any) {
	t.Helper()
	body, err := fs.ReadFile(f, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func ReadFile(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func Stat(t *testing.T, name string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(name)
	Must(t, err)
	return info
}
