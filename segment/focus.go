package segment

import (
	"slices"
	"time"
)

const (
	// A focus is given up after so many times as long as it takes to fetch the
	// blob, so that nothing can hang on it, but not before
	focusPatience = 4
	leastFocus    = 5 * time.Second
)

// focus says that a blob is to be fetched before all later ones.
type focus struct {
	blob  int
	until time.Time
}

// Focus has no blob after this one fetched until Unfocus is called: it is to
// tell whom to believe, and what those bring meanwhile may be wrong.
func (s *Scheduler) Focus(blob int, now time.Time) {
	wait := leastFocus
	if s.rate > 0 {
		wait = max(wait, seconds(focusPatience*float64(s.blobs[blob].size)/s.rate))
	}
	s.focuses = append(s.focuses, focus{blob, now.Add(wait)})
	slices.SortFunc(s.focuses, func(a, b focus) int { return a.blob - b.blob })
	// One that reads a whole blob would have to begin anew.
	s.abandonAll(func(t *Task) bool { return !t.whole && !s.mayFetch(t.Blob, now) })
}

// Unfocus undoes a Focus.
func (s *Scheduler) Unfocus(blob int) {
	if k := slices.IndexFunc(s.focuses, func(f focus) bool { return f.blob == blob }); k >= 0 {
		s.focuses = slices.Delete(s.focuses, k, k+1)
	}
	s.offerAll()
}

// mayFetch says whether no other blob has to be right before this one is
// fetched.
func (s *Scheduler) mayFetch(blob int, now time.Time) bool {
	k := slices.IndexFunc(s.focuses, func(f focus) bool { return now.Before(f.until) })
	return k < 0 || blob <= s.focuses[k].blob
}
