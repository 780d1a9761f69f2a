package segment

import "time"

const (
	// asidePatience is how long nothing moves before a source that was set
	// aside is used all the same,
	asidePatience = 5 * time.Second
	// and asideShare the part of its rate that the others have to bring: a
	// trickle is no reason to leave it out.
	asideShare = 1. / 16
)

// aside says that a source is to be left alone while others do.
type aside struct {
	times  int     // that it was set aside and not taken back
	rate   float64 // bytes a second that it brought then
	lapsed bool    // the others have not done
}

// SetAside takes away what a source is at, and has it asked for nothing more
// as long as others bring enough, until TakeBack was called as often.
func (s *Scheduler) SetAside(source int, now time.Time) {
	src := s.sources[source]
	src.aside.times++
	src.aside.rate = max(src.aside.rate, src.meter.rate(now))
	s.abandonAll(func(t *Task) bool { return t.Source == source })
}

// TakeBack undoes a SetAside.
func (s *Scheduler) TakeBack(source int) {
	src := s.sources[source]
	if src.aside.times--; src.aside.times == 0 {
		src.aside = aside{}
	}
	s.offer(source)
}

// dispensable says whether a source was set aside and the others do.
func (src *source) dispensable() bool { return src.aside.times > 0 && !src.aside.lapsed }

// reviewAside notes where the other sources do not bring enough. From then on
// a source that was set aside is used: what it brings would look like theirs.
func (s *Scheduler) reviewAside(src *source, now time.Time) {
	if src.dispensable() {
		src.aside.lapsed = now.Sub(s.moved) >= asidePatience || s.gain.rate(now) < asideShare*src.aside.rate
	}
}
