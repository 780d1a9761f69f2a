package segpull

import "time"

const (
	// mostUnhashed is how many bytes may wait for the hash. Where the network
	// is faster than SHA-256, more would only take the processor away from it,
	// and let the bytes fall out of the caches.
	mostUnhashed = 32 << 20
	// longestPace bounds what one write is held back, so that nothing can hang
	// on it.
	longestPace = 200 * time.Millisecond
)

// pace holds back who has just brought bytes while the hash is far behind.
func (j *job) pace() {
	const step = 5 * time.Millisecond
	for waited := time.Duration(0); waited < longestPace && j.unhashed() > mostUnhashed; waited += step {
		time.Sleep(step)
	}
}

// unhashed is the number of bytes that the hash could take at once.
func (j *job) unhashed() (n int64) {
	for i := range j.blobs {
		n += max(0, j.store.Blob(i).Prefix()-j.frontiers[i].Offset())
	}
	return n
}
