package state

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Open allocates the part file, whose length stays, so that no other program can fill the
// disk during the pull.
func TestOpenAllocatesThePartFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	blobs := []Placement{{"sha256:a", 1 << 20, 512}, {"sha256:b", 3 << 20, 2 << 20}}
	probe, err := os.Create(path)
	must(t, err)
	defer probe.Close()
	if err := allocate(probe, 1<<20); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the file system allocates nothing")
	}
	s := open(t, path, blobs, "a")
	info, err := s.part.Stat()
	must(t, err)
	if got := info.Sys().(*syscall.Stat_t).Blocks * 512; got < 5<<20 || info.Size() > 0 {
		t.Errorf("the part file has %d bytes on the disk and a length of %d", got, info.Size())
	}
	if need, _, known := s.Space(); !known || need > 0 {
		t.Errorf("the part file needs %d bytes more (known: %t)", need, known)
	}
	p := random(1<<20, 1)
	must(t, s.Write(0, 0, p, 0))
	must(t, s.PromotePart(path, 1<<20+512))
	if info, err = os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Blocks*512 > 2<<20 {
		t.Errorf("the output keeps blocks that it does not need (%v)", err)
	}
}

// Nothing is allocated for an image that does not fit.
func TestOpenAllocatesNothingThatDoesNotFit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", 1 << 50, 0}}, "a")
	info, err := s.part.Stat()
	must(t, err)
	if got := info.Sys().(*syscall.Stat_t).Blocks; got > 0 {
		t.Errorf("the part file has %d blocks", got)
	}
}
