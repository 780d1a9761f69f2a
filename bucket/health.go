package bucket

import (
	"sync"
	"time"
)

const (
	// firstPause is how long the bucket is left alone after a failure; each further one
	// doubles it, up to mostPause.
	firstPause = time.Second
	mostPause  = 2 * time.Minute
	// fullFor is how long nothing is put after an answer that the bucket is full.
	fullFor = 5 * time.Minute
	// sayAgainAfter is the least time between two messages about failures.
	sayAgainAfter = time.Minute
)

// health is whether requests of a kind are made at present. The zero value is healthy.
type health struct {
	mu       sync.Mutex // guards what follows
	failures int        // in a row
	until    time.Time  // none is made
	said     time.Time  // when a failure was last reported
	warned   bool       // of these failures
}

// good reports whether a request may be made.
func (h *health) good() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !time.Now().Before(h.until)
}

// worked is called after an answer. It reports whether to say so.
func (h *health) worked() (say bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	say = h.warned
	h.failures, h.warned = 0, false
	return say
}

// failed is called after a failure. It returns for how long no request is made, which is
// least at the least, and whether to say so.
func (h *health) failed(least time.Duration) (pause time.Duration, say bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pause = max(min(firstPause<<min(h.failures, 10), mostPause), least)
	h.failures++
	h.until = time.Now().Add(pause)
	if h.warned || time.Since(h.said) < sayAgainAfter {
		return pause, false
	}
	h.warned, h.said = true, time.Now()
	return pause, true
}
