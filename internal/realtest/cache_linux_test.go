package realtest

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/segpull/segpull/internal/registrytest"
)

// A cache on a small disk leaves a part of it free.
func TestTheCacheDoesNotFillItsDisk(t *testing.T) {
	r := startRegistry(t)
	h := newHome(t)
	cache := t.TempDir()
	mountMemory(t, cache, "size=40m")
	h.env = append(h.env, "SEGPULL_CACHE="+cache)
	for i := range 6 {
		tag := strconv.Itoa(i)
		img := newImage(t, registrytest.ImageOptions{Seed: uint64(i), Layers: []int64{12 * mib}})
		r.push(t, "library/app", tag, img)
		h.pull(t, "-m", r.url(), "-o", tag+".tar", "app:"+tag)
		h.checkArchive(t, tag+".tar", img)
		var disk syscall.Statfs_t
		if err := syscall.Statfs(cache, &disk); err != nil {
			t.Fatal(err)
		}
		if free := disk.Bfree * uint64(disk.Bsize); free < 2*mib {
			t.Errorf("after %d images, %d bytes of the disk are free", i+1, free)
		}
	}
	if listed := h.pull(t, "cache", "ls").stdout; !strings.Contains(listed, "app:3") || !strings.Contains(listed, "app:5") || strings.Contains(listed, "app:2") {
		t.Errorf("cache ls prints\n%s", listed)
	}
}
