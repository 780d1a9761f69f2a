package segment

import (
	"slices"
	"time"
)

// Trust is how far a source is used.
type Trust int

const (
	// Trusted sources are asked for everything.
	Trusted Trust = iota
	// Suspect sources are asked for nothing as long as the others bring enough.
	Suspect
	// Excluded sources are asked only for what no other source has, for the rest
	// of the fetch.
	Excluded
)

// SetTrust sets how far a source is used from now on, and cancels the requests
// that it may not serve any more.
func (f *Fetch) SetTrust(source int, trust Trust) {
	f.locked(func() { f.sched.setTrust(source, trust, time.Now()) })
	f.poke()
}

func (s *scheduler) setTrust(source int, trust Trust, now time.Time) {
	src := s.sources[source]
	if src.trust == trust || src.trust == Excluded {
		return
	}
	src.trust, src.trustedRate, src.needed = trust, src.meter.rate(now), false
	s.abandonAll(func(t *task) bool {
		return t.source == source && (src.skip() || s.barred(source, t.blob))
	})
	s.offer(source)
}

// skip reports whether the source is asked for nothing because it is a suspect.
func (src *source) skip() bool { return src.trust == Suspect && !src.needed }

// reviewSuspect notes when the other sources do not bring enough. The suspect is
// then used until it is cleared: what it brings would look like theirs.
func (s *scheduler) reviewSuspect(src *source, now time.Time) {
	if src.skip() {
		src.needed = now.Sub(s.moved) >= patience || s.gain.rate(now) < trickle*src.trustedRate
	}
}

// barred reports whether source i is excluded, and another source can be asked
// for the blob, or whether the blob is left to another source.
func (s *scheduler) barred(i, blob int) bool {
	if first := s.leftTo(blob); first != nil && first != s.sources[i] {
		return true
	}
	return s.sources[i].trust == Excluded && slices.ContainsFunc(s.sources, func(o *source) bool {
		return o.trust != Excluded && o.mayHave(blob)
	})
}
