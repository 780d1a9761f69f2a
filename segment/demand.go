package segment

import (
	"slices"
	"time"
)

// preferred is a range that somebody waits for.
type preferred struct {
	blob int
	Range
}

// Prefer fetches what is free of a range before all else. It wants nothing by
// itself.
func (f *Fetch) Prefer(blob int, r Range) {
	f.locked(func() { f.sched.Prefer(blob, r) })
	f.poke()
}

// Drop gives up on a blob, for good: nothing of it is fetched any more, and
// Settle is not to be called for it.
func (f *Fetch) Drop(blob int) {
	f.locked(func() {
		f.sched.Drop(blob)
		f.unsettled--
	})
	f.poke()
}

// Prefer hands out what is free of a range before all else.
func (s *Scheduler) Prefer(blob int, r Range) {
	p := preferred{blob, r}
	if !slices.Contains(s.preferred, p) {
		s.preferred = append(s.preferred, p)
	}
	s.offerAll()
}

// Drop takes a blob back from all sources. What is wanted of it later is
// ignored.
func (s *Scheduler) Drop(blob int) {
	s.abandonAll(func(t *Task) bool { return t.Blob == blob })
	s.claim(blob, s.blobs[blob].all())
	s.blobs[blob].dropped = true
}

// takePreferred cuts the first free bytes of a preferred range for source i: as
// few as are worth a request, so that several sources bring the range.
func (s *Scheduler) takePreferred(i int, now time.Time) *Task {
	src := s.sources[i]
	s.preferred = slices.DeleteFunc(s.preferred, func(p preferred) bool {
		return len(s.blobs[p.blob].free.Within(p.Range)) == 0
	})
	for _, p := range s.preferred {
		if src.lacks[p.blob] || s.barred(i, p.blob) || !src.mayRange(now) {
			continue
		}
		first := s.blobs[p.blob].free.Within(p.Range)[0]
		r := Range{first.Start, min(first.End, first.Start+minSplit)}
		s.claim(p.blob, r)
		s.inFlight += r.Len()
		return &Task{Source: i, Blob: p.blob, Asked: r, rest: r}
	}
	return nil
}
