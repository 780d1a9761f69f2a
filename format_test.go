package segpull_test

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
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
		m := pulltest.Serve(t, 2, img)
		for format, check := range map[string]func(*testing.T, fs.FS, registrytest.Image){
			"docker-archive": pulltest.CheckDocker,
			"oci-archive":    pulltest.CheckOCI,
			"oci":            pulltest.CheckOCI,
			"legacy":         pulltest.CheckLegacy,
		} {
			t.Run(name+" as "+format, func(t *testing.T) {
				t.Parallel()
				r := m.MustPull(t, segpull.Options{Format: format})
				if r.ImageID != img.Config.Digest.String() || r.Digest != img.Manifest.Digest.String() {
					t.Errorf("image id %s and digest %s are not those of the image", r.ImageID, r.Digest)
				}
				check(t, pulltest.Contents(t, r.Path), img)
				pulltest.WantFiles(t, filepath.Dir(r.Path), filepath.Base(r.Path))
			})
		}
	}
}

func TestTheSameImageGivesTheSameBytes(t *testing.T) {
	img := pulltest.ImageOf(1, 2*mib, 300*kib)
	m := pulltest.Serve(t, 3, img)
	for _, format := range []string{"docker-archive", "oci-archive", "legacy"} {
		t.Run(format, func(t *testing.T) {
			file := m.MustPull(t, segpull.Options{Format: format})
			again := m.MustPull(t, segpull.Options{Format: format, Mirrors: m.URLs[:1], Connections: 1, SegmentSize: 256 * kib})
			var streamed bytes.Buffer
			t.Chdir(t.TempDir())
			r := m.MustPull(t, segpull.Options{Format: format, Output: "-", Stdout: &streamed})
			if r.Path != "-" {
				t.Errorf("path %q instead of -", r.Path)
			}
			pulltest.WantFiles(t, ".")
			want := pulltest.ReadFile(t, file.Path)
			if !bytes.Equal(want, pulltest.ReadFile(t, again.Path)) || !bytes.Equal(want, streamed.Bytes()) {
				t.Error("other bytes")
			}
		})
	}
}

func TestReferencesByDigest(t *testing.T) {
	img := pulltest.ImageOf(1, 70*kib)
	m := pulltest.Serve(t, 1, img)
	for name, tags := range map[string]string{
		"registry.example/team/app@" + img.Manifest.Digest.String():   "",
		"registry.example/team/app:1@" + img.Manifest.Digest.String(): "registry.example/team/app:1",
	} {
		results, err := m.Pull(t, segpull.Options{}, name)
		if err != nil {
			t.Fatal(err)
		}
		var manifests []struct{ RepoTags []string }
		pulltest.ReadJSON(t, pulltest.Contents(t, results[0].Path), "manifest.json", &manifests)
		if got := strings.Join(manifests[0].RepoTags, " "); got != tags {
			t.Errorf("%s is to be loaded as %q, not %q", name, got, tags)
		}
	}
	other := pulltest.ImageOf(2, 4*kib).Manifest.Digest.String()
	_, err := m.Pull(t, segpull.Options{}, "registry.example/team/app:1@"+other)
	pulltest.WantError(t, err, segpull.ErrNotFound, other)
}

// An output that cannot be written completely does not stay on the disk: only the
// fetched bytes do.
func TestAnArchiveThatFailsIsNotLeft(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, registrytest.NewImage(registrytest.ImageOptions{
		Layers: []int64{300 * kib}, Platform: "linux/amd64",
		EditConfig: func(c *ocispec.Image) { c.RootFS.DiffIDs[0] = digest.FromString("another") },
	}))
	out := filepath.Join(t.TempDir(), "app.tar")
	_, err := m.Pull(t, segpull.Options{Output: out, Format: "legacy"})
	pulltest.WantError(t, err, nil, "write "+out)
	pulltest.WantFiles(t, out+".segpull", "lock", "part", "state")
}
