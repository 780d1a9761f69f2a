package segment

import (
	"slices"
	"time"
)

// Hold keeps blobs after this one from being fetched until Release is called,
// or this blob takes much longer than it should: this blob will show whether a
// source sends wrong bytes.
func (f *Fetch) Hold(blob int) {
	f.locked(func() { f.sched.hold(blob, time.Now()) })
}

// Release undoes a Hold.
func (f *Fetch) Release(blob int) {
	f.locked(func() { f.sched.release(blob) })
	f.poke()
}

// hold keeps all blobs after this one from being fetched.
type hold struct {
	blob  int
	until time.Time
}

// hold keeps later blobs from being fetched until release is called. A hold ends
// by itself once it has taken many times as long as the blob should.
func (s *scheduler) hold(blob int, now time.Time) {
	wait := patience
	if s.rate > 0 {
		wait = max(wait, seconds(many*float64(s.blobs[blob].size)/s.rate))
	}
	s.holds = append(s.holds, hold{blob, now.Add(wait)})
	slices.SortFunc(s.holds, func(a, b hold) int { return a.blob - b.blob })
	// A request that reads a whole blob would have to begin again.
	s.abandonAll(func(t *task) bool { return !t.whole && !s.mayFetch(t.blob, now) })
}

// release undoes a hold.
func (s *scheduler) release(blob int) {
	if k := slices.IndexFunc(s.holds, func(h hold) bool { return h.blob == blob }); k >= 0 {
		s.holds = slices.Delete(s.holds, k, k+1)
	}
	s.offerAll()
}

// mayFetch reports whether no hold keeps the blob from being fetched.
func (s *scheduler) mayFetch(blob int, now time.Time) bool {
	k := slices.IndexFunc(s.holds, func(h hold) bool { return now.Before(h.until) })
	return k < 0 || blob <= s.holds[k].blob
}
