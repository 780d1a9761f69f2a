package transfer

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// oneProcessor is how many bytes wait for the hash when one processor does
	// not keep up with the network.
	oneProcessor = 8 << 20
	// leastLag is how long they wait until one processor counts as too slow:
	// when a gap closes, all that came beyond it is unhashed for a moment.
	leastLag = 500 * time.Millisecond
	// mostUnhashed is how many bytes may wait for the hash. If the network is
	// faster than SHA-256, more of them only take processor time from SHA-256,
	// and leave the caches before it reads them.
	mostUnhashed = 32 << 20
	// longestPace bounds the delay of one write, so that nothing can hang.
	longestPace = 200 * time.Millisecond
)

// pace fetches several blobs at a time if the hash is slower than the sources,
// and delays a source that has just sent bytes while the hash is far behind.
// Otherwise one blob is complete before the next begins, and shows which
// sources are corrupt.
func (t *Transfer) pace() {
	if t.lag.lasts(t.unhashed() > oneProcessor, time.Now()) {
		t.spread.Do(func() { t.fetch.SetParallel(runtime.GOMAXPROCS(0)) })
	}
	const step = 5 * time.Millisecond
	for waited := time.Duration(0); waited < longestPace && t.unhashed() > mostUnhashed; waited += step {
		time.Sleep(step)
	}
}

// lag is since when the hash is behind. It is safe for concurrent use.
type lag struct{ since atomic.Pointer[time.Time] }

// lasts records whether the hash is behind now, and reports whether it has been
// so for leastLag.
func (l *lag) lasts(behind bool, now time.Time) bool {
	if !behind {
		l.since.Store(nil)
		return false
	}
	l.since.CompareAndSwap(nil, &now)
	since := l.since.Load()
	return since != nil && now.Sub(*since) >= leastLag
}

// unhashed is the number of bytes that the hash could take at once.
func (t *Transfer) unhashed() (n int64) {
	for i, item := range t.allItems() {
		n += max(0, item.stored.Prefix()-t.search.Hashed(i))
	}
	return n
}
