package transfer

import "time"

const (
	// oneProcessor is how many bytes wait for the hash when one processor does
	// not keep up with the network.
	oneProcessor = 8 << 20
	// mostUnhashed is how many bytes may wait for the hash. Where the network
	// is faster than SHA-256, more would only take the processor away from it,
	// and let the bytes fall out of the caches.
	mostUnhashed = 32 << 20
	// longestPace bounds what one write is held back, so that nothing can hang
	// on it.
	longestPace = 200 * time.Millisecond
)

// pace fetches blobs side by side where the hash falls behind, and holds back
// a source that has just brought bytes while it is far behind. Else one blob is
// complete before the next is begun, and shows which sources are corrupt.
func (t *Transfer) pace() {
	if t.unhashed() > oneProcessor {
		t.spread.Do(t.fetch.Spread)
	}
	const step = 5 * time.Millisecond
	for waited := time.Duration(0); waited < longestPace && t.unhashed() > mostUnhashed; waited += step {
		time.Sleep(step)
	}
}

// unhashed is the number of bytes that the hash could take at once.
func (t *Transfer) unhashed() (n int64) {
	for i := range t.opts.Blobs {
		n += max(0, t.opts.Store.Blob(i).Prefix()-t.search.Hashed(i))
	}
	return n
}
