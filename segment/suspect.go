package segment

import "time"

const (
	// suspectTrust is the part of its rate that the others have to bring: a
	// trickle is no reason to leave it out.
	suspectTrust = 1. / 16
)

// suspicion says that a source may send wrong bytes: it is left alone while
// others bring enough.
type suspicion struct {
	times  int     // that it was suspected and not cleared
	rate   float64 // bytes a second that it brought then
	lapsed bool    // the others have not done
}

// suspect takes away what a source is at, and has it asked for nothing more
// as long as others bring enough, until Clear was called as often.
func (s *scheduler) suspect(source int, now time.Time) {
	src := s.sources[source]
	src.suspect.times++
	src.suspect.rate = max(src.suspect.rate, src.meter.rate(now))
	s.abandonAll(func(t *task) bool { return t.source == source })
}

// clear undoes a Suspect.
func (s *scheduler) clear(source int) {
	src := s.sources[source]
	if src.suspect.times--; src.suspect.times == 0 {
		src.suspect = suspicion{}
	}
	s.offer(source)
}

// skip says whether a source is left alone as a suspect.
func (src *source) skip() bool { return src.suspect.times > 0 && !src.suspect.lapsed }

// reviewSuspect notes where the other sources do not bring enough. From then on
// a suspect is used: what it brings would look like theirs.
func (s *scheduler) reviewSuspect(src *source, now time.Time) {
	if src.skip() {
		src.suspect.lapsed = now.Sub(s.moved) >= patience || s.gain.rate(now) < suspectTrust*src.suspect.rate
	}
}
