package segment

import (
	"slices"
	"time"
)

// hold says that a blob is to be fetched before all later ones.
type hold struct {
	blob  int
	until time.Time
}

// hold has no blob after this one fetched until Release is called: it is to
// tell whom to believe, and what those bring meanwhile may be wrong. A hold ends
// by itself once it has taken many times as long as the blob should.
func (s *scheduler) hold(blob int, now time.Time) {
	wait := patience
	if s.rate > 0 {
		wait = max(wait, seconds(many*float64(s.blobs[blob].size)/s.rate))
	}
	s.holds = append(s.holds, hold{blob, now.Add(wait)})
	slices.SortFunc(s.holds, func(a, b hold) int { return a.blob - b.blob })
	// One that reads a whole blob would have to begin anew.
	s.abandonAll(func(t *task) bool { return !t.whole && !s.mayFetch(t.blob, now) })
}

// release undoes a hold.
func (s *scheduler) release(blob int) {
	if k := slices.IndexFunc(s.holds, func(h hold) bool { return h.blob == blob }); k >= 0 {
		s.holds = slices.Delete(s.holds, k, k+1)
	}
	s.offerAll()
}

// mayFetch says whether no other blob has to be right before this one is
// fetched.
func (s *scheduler) mayFetch(blob int, now time.Time) bool {
	k := slices.IndexFunc(s.holds, func(h hold) bool { return now.Before(h.until) })
	return k < 0 || blob <= s.holds[k].blob
}
