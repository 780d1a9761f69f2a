//go:build linux || darwin

package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/segpull/segpull/segment"
)

// Open does not begin a copy that does not fit. The sidecar records more bytes than a
// file system of less than two TiB has free; the bytes need not exist.
func TestACopyThatDoesNotFitIsNotBegun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	huge := Placement{Digest: "sha256:huge", Size: 2 << 40}
	s := open(t, path, []Placement{huge}, "a")
	free, _, known := spaceOf(s.lock)
	if !known || free > huge.Size/2 {
		t.Skipf("%d bytes are free", free)
	}
	var log []byte
	for at := int64(0); at <= free+free/4; at += MaxRecord {
		log = record{kindHave, 0, 0, segment.Range{Start: at, End: at + MaxRecord}, 0}.append(log)
	}
	_, err := s.log.f.WriteAt(log, s.log.end)
	must(t, err)
	must(t, s.Close())

	before, err := os.ReadFile(filepath.Join(Dir(path), "state"))
	must(t, err)
	huge.Offset = 512
	_, err = Open(t.Context(), path, []Placement{huge}, []string{"a"})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "a change of format") || !strings.Contains(err.Error(), Dir(path)) {
		t.Errorf("Open() = %v", err)
	}
	after, err := os.ReadFile(filepath.Join(Dir(path), "state"))
	must(t, err)
	if string(after) != string(before) {
		t.Error("the sidecar was changed")
	}
	if _, err := os.Lstat(filepath.Join(Dir(path), "part2")); !os.IsNotExist(err) {
		t.Errorf("a copy was begun (%v)", err)
	}
}
