package segpull_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// In a directory such as /tmp, the pull cannot replace another user's file. It fails before the first
// request.
func TestAnotherUsersFileIsNotToBeReplaced(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	dir := t.TempDir()
	out := filepath.Join(dir, "app.tar")
	pulltest.Must(t, os.WriteFile(out, nil, 0o644))
	pulltest.Must(t, os.Chmod(filepath.Dir(dir), 0o755))
	pulltest.Must(t, os.Chmod(dir, os.ModeSticky|0o777))
	pulltest.Must(t, syscall.Seteuid(12345))
	_, err := m.Pull(t, segpull.Options{Output: out})
	pulltest.Must(t, syscall.Seteuid(0))
	pulltest.WantError(t, err, nil, "belongs to another user", "--output")
	if m.Served() > 0 {
		t.Error("it was fetched first")
	}
}

// Of the finished images, the pull keeps one open for a layer that later images share,
// and closes the others.
func TestFinishedImagesAreClosed(t *testing.T) {
	t.Parallel()
	const shared = "aabcca" // which images have the same layer
	m := pulltest.Serve(t, 1, pulltest.ImageOf(100, 4*kib))
	var refs []string
	for i, seed := range shared {
		img := registrytest.NewImage(registrytest.ImageOptions{
			Seed: uint64(seed), Layers: []int64{4 * kib, int64(i+1) * kib}, Platform: "linux/amd64",
		})
		m.Servers[0].Push(fmt.Sprintf("team/%d", i), "1", img)
		refs = append(refs, fmt.Sprintf("registry.example/team/%d:1", i))
	}
	for _, format := range []string{"docker-archive", "legacy"} {
		out := t.TempDir()
		var held []int // after each image
		rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
			if _, ok := e.(segpull.Finished); ok {
				held = append(held, openIn(t, out))
			}
		}}
		_, err := m.Pull(t, segpull.Options{Output: out, Format: format, Observer: rec}, refs...)
		pulltest.Must(t, err)
		if want := []int{1, 1, 1, 2, 1, 0}; !slices.Equal(held, want) {
			t.Errorf("%s: %v descriptors were held, not %v", format, held, want)
		}
	}
}

// openIn returns the number of descriptors of this process for files in a directory.
func openIn(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	pulltest.Must(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(target, dir+"/") {
			n++
		}
	}
	return n
}
