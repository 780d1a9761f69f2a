package state

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel writes the bytes to the disk, without a call of Sync.
func TestStartWritingMakesTheDiskWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", enoughToWrite, 0}}, "a")
	must(t, s.Write(0, 0, random(enoughToWrite, 1), 0))
	dirty := func() uint64 {
		var stat unix.Cachestat_t
		if err := unix.Cachestat(uint(s.part.Fd()), &unix.CachestatRange{}, &stat, 0); err != nil {
			t.Skip("cachestat:", err)
		}
		return stat.Dirty
	}
	if before := dirty(); before < enoughToWrite/(64<<10)/2 { // 64 KiB: the largest page
		t.Skipf("the file system counts %d changed pages", before)
	}
	s.StartWriting()
	for end := time.Now().Add(10 * time.Second); dirty() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d pages are still to be written", dirty())
		}
	}
}
