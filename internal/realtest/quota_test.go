package realtest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// mountQuota mounts a file system on a directory that has room, of which no more
// than so many MiB may be used. Few kernels have the quotas of tmpfs; those of
// Btrfs come with it.
func mountQuota(t *testing.T, dir, mebibytes string) {
	t.Helper()
	needs.Programs(t, "mkfs.btrfs", "btrfs")
	disk := filepath.Join(t.TempDir(), "disk")
	run(t, "truncate", "-s", "200M", disk)
	run(t, "mkfs.btrfs", "-q", disk)
	mount(t, dir, "-o", "loop", disk)
	run(t, "btrfs", "quota", "enable", dir)
	run(t, "btrfs", "qgroup", "limit", mebibytes+"M", dir)
}

func TestAQuotaIsReached(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{12 * mib, 3 * mib}})
	first, _, _ := startMirrors(t, img)
	source := newGauge(t, first)
	h := newHome(t)
	mountQuota(t, h.dir, "8")
	args := []string{"-m", source.url, "-o", "ubuntu.tar", name}

	got := h.run(t, args...)
	if got.code != 1 || !strings.Contains(got.stderr, "disk quota exceeded; make room") {
		t.Fatalf("it ended with code %d and said %q", got.code, got.stderr)
	}
	run(t, "btrfs", "qgroup", "limit", "100M", h.dir)
	h.pull(t, args...)
	// What six connections had on their way when the disk was full is lost; to
	// lose all would be 8 MiB.
	if served := source.served.Load(); served > totalSize(img)+6*mib {
		t.Errorf("%d bytes were served for %d", served, totalSize(img))
	}
	h.checkClean(t, "ubuntu.tar")
	h.checkArchive(t, "ubuntu.tar", img)
}
