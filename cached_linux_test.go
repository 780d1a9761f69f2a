package segpull_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// An image of three quarters of what is free fits once, and not twice.
func TestTheCacheAndTheOutputNeedRoomOnOneDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var disk syscall.Statfs_t
	pulltest.Must(t, syscall.Statfs(dir, &disk))
	blocks := disk.Bavail
	if os.Geteuid() == 0 {
		blocks = disk.Bfree
	}
	size := int64(blocks) * disk.Bsize / 4 * 3
	if size > 1<<40 {
		t.Skipf("%d bytes are free, more than a layer may have", size)
	}
	img := registrytest.NewImage(registrytest.ImageOptions{
		Layers: []int64{100 * kib}, Platform: "linux/amd64",
		EditManifest: func(manifest *ocispec.Manifest) { manifest.Layers[0].Size = size },
	})
	m := pulltest.Serve(t, 1, img)
	_, err := m.Pull(t, segpull.Options{Output: filepath.Join(dir, "app.tar"), CacheDir: filepath.Join(dir, "cache"), GiveUpAfter: time.Second})
	pulltest.WantError(t, err, nil, "the cache", "and the output need", "free", "make room")
	if !errors.Is(err, syscall.ENOSPC) || m.ServedBesides(img) > 0 {
		t.Errorf("%v, after %d bytes", err, m.Served())
	}
}
