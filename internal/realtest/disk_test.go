package realtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// mount mounts a file system on a directory until the test ends.
func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		needs.Lack(t, "mounting needs root")
	}
	needs.Programs(t, "mount", "umount")
	run(t, "mount", append(args, dir)...)
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
}

// mountMemory mounts a file system in memory on a directory.
func mountMemory(t *testing.T, dir, options string) {
	t.Helper()
	mount(t, dir, "-t", "tmpfs", "-o", options, "tmpfs")
}

func TestADiskFillsUp(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{12 * mib, 3 * mib}})
	first, _, _ := startMirrors(t, img)
	source := newGauge(t, first)
	h := newHome(t)
	mountMemory(t, h.dir, "size=20m")
	ballast := h.path("ballast")
	fill := func(size int64) {
		t.Helper()
		if err := os.WriteFile(ballast, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-m", source.url, "-o", "ubuntu.tar", name}

	// The disk is full from the start: segpull fetches nothing.
	fill(10 * mib)
	got := h.run(t, args...)
	if got.code != 1 || !strings.Contains(got.stderr, " MiB more and has ") || !strings.Contains(got.stderr, "make room") || source.served.Load() > 0 {
		t.Errorf("it ended with code %d after %d bytes, and said %q", got.code, source.served.Load(), got.stderr)
	}

	// Another program fills the disk during the pull, which has its blocks already.
	fill(0)
	source.limit.SetLimit(10 * mib)
	go func() {
		for source.served.Load() < 4*mib && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		os.WriteFile(ballast, make([]byte, 20*mib), 0o600) // as much as there is room for
	}()
	h.pull(t, args...)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if served := source.served.Load(); served > totalSize(img)+4*mib {
		t.Errorf("%d bytes were served for %d", served, totalSize(img))
	}
	h.checkClean(t, "ubuntu.tar")
	h.checkArchive(t, "ubuntu.tar", img)

	// The part directory fits, but not what is written from it.
	if err := os.Remove(h.path("ubuntu.tar")); err != nil {
		t.Fatal(err)
	}
	for format, says := range map[string]string{"legacy": " MiB more and has ", "oci": "make room while the pull runs"} {
		got = h.run(t, "-f", format, "-m", source.url, "-o", format, name)
		if got.code != 1 || !strings.Contains(got.stderr, says) || !strings.Contains(got.stderr, "no space left on device; make room") {
			t.Errorf("%s: it ended with code %d and said %q", format, got.code, got.stderr)
		}
		os.RemoveAll(h.path(format))
		os.RemoveAll(h.path(format + ".segpull"))
	}
}

func TestADirectoryThatIsReadOnly(t *testing.T) {
	first, _, _ := startMirrors(t, newImage(t, registrytest.ImageOptions{}))
	h := newHome(t)
	h.pull(t, "-m", first.url(), "-o", "right.tar", name)
	right, err := os.ReadFile(h.path("right.tar"))
	if err != nil {
		t.Fatal(err)
	}
	mountMemory(t, h.dir, "size=20m")
	if err := os.WriteFile(h.path("ubuntu.tar"), right, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-o", "remount,ro", h.dir)
	dir, err := filepath.EvalSymlinks(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for output, advice := range map[string]string{
		"new.tar": "give another with --output",
		"-":       "run segpull in another directory",
	} {
		got := h.run(t, "-m", first.url(), "-o", output, name)
		if got.code != 1 || !strings.Contains(got.stderr, "read-only file system") || !strings.Contains(got.stderr, dir) || !strings.Contains(got.stderr, advice) {
			t.Errorf("-o %s: it ended with code %d and said %q", output, got.code, got.stderr)
		}
	}
	// The existing archive needs no writes.
	if got := h.pull(t, "-m", first.url(), "-o", "ubuntu.tar", name); !strings.Contains(got.stderr, "up to date") {
		t.Errorf("it said %q", got.stderr)
	}
}
