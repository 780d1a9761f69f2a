package segment

import (
	"testing"
	"time"
)

// TestAStopIsNoSilence stops the process for longer than a fetch may go on
// without a byte.
func TestAStopIsNoSilence(t *testing.T) {
	f := NewFetch(Options{Blobs: []int64{mib}, Peers: []Peer{{Name: "a"}}, GiveUpAfter: 3 * time.Second})
	f.Want(0, Range{0, mib})
	moved := time.Now().Add(-6 * time.Second)
	f.looked = time.Now().Add(-5 * time.Second)
	if _, err := f.outlook(&moved); err != nil {
		t.Errorf("after 1 s awake: %v", err)
	}
	moved = time.Now().Add(-4 * time.Second)
	if _, err := f.outlook(&moved); err == nil {
		t.Error("after 4 s awake it goes on")
	}
}
