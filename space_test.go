package segpull_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// The manifest shows that an image does not fit, so the pull fetches none of its blobs.
// internal/realtest has disks that become full during a pull.
func TestAnImageThatDoesNotFitIsNotBegun(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("the free space is not known here")
	}
	img := registrytest.NewImage(registrytest.ImageOptions{
		Layers: []int64{100 * kib, 101 * kib, 102 * kib, 103 * kib}, Platform: "linux/amd64",
		EditManifest: func(manifest *ocispec.Manifest) {
			for i := range manifest.Layers {
				manifest.Layers[i].Size = 1 << 40 // at most
			}
		},
	})
	m := pulltest.Serve(t, 1, img)
	for _, format := range []string{"docker-archive", "oci-archive", "legacy", "oci", "-"} {
		opts := segpull.Options{Output: filepath.Join(t.TempDir(), "app"), Format: format}
		if format == "-" {
			t.Chdir(t.TempDir())
			opts = segpull.Options{Output: "-", Stdout: discard{}}
		}
		_, err := m.Pull(t, opts)
		need := "needs 4096.0 GiB more"
		if format == "legacy" { // which is written beside the part file
			need = "needs 8192.0 GiB more"
		}
		pulltest.WantError(t, err, nil, need, "free", "make room")
		if !errors.Is(err, syscall.ENOSPC) || m.ServedBesides(img) > 0 {
			t.Errorf("%s: %v, after %d bytes", format, err, m.Served())
		}
	}
}
