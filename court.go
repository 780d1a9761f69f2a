package segpull

import (
	"os"
	"runtime"
)

// court is what the search for liars in one image has to share.
type court struct {
	queue                   // of blobs that turned out wrong: one has the turn at a time
	scratch *os.File        // of what was heard, for whoever has the turn
	stone   chan int        // a blob to test sources with
	doubted map[string]bool // sources that lied in an earlier pull
	seats   chan struct{}   // for those who watch a blob: each decompresses
}

func newCourt(doubted map[string]bool) *court {
	return &court{doubted: doubted, stone: make(chan int, 1), seats: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// close frees the disk of what was heard.
func (c *court) close() {
	if c.scratch != nil {
		c.scratch.Truncate(0)
		c.scratch.Close()
	}
}
