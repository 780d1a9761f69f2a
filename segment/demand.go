package segment

import (
	"container/heap"
	"slices"
	"time"
)

// preferred is a range that somebody waits for.
type preferred struct {
	blob int
	Range
}

// Prefer fetches the bytes of a range that no request fetches yet before all
// others, also of a blob after one that is on hold, by more connections than the
// sources have otherwise. A request that will not come to them within a moment
// gives them up. Prefer does not fetch bytes that Want has not asked for.
func (f *Fetch) Prefer(blob int, r Range) {
	f.locked(func() { f.sched.prefer(blob, r, time.Now()) })
	f.poke()
}

// Add adds a blob of so many bytes to the fetch, after the others, and returns
// its index.
func (f *Fetch) Add(size int64) (blob int) {
	f.locked(func() {
		blob = f.sched.add(size)
		f.unsettled++
	})
	return blob
}

// Drop ends the fetch of a blob permanently, and forgets why sources did not serve it. The
// caller does not call Settle for it.
func (f *Fetch) Drop(blob int) {
	f.locked(func() {
		if f.sched.drop(blob) {
			f.unsettled--
		}
		for i := range f.last {
			if f.last[i].blob == blob {
				f.last[i] = lastFailure{}
			}
		}
	})
	f.poke()
}

// prefer hands out what is free of a range before all else, and frees what requests will
// not deliver soon.
func (s *scheduler) prefer(blob int, r Range, now time.Time) {
	for _, t := range append(running(nil), s.tasks...) {
		if t.blob == blob {
			s.yield(t, r, now)
		}
	}
	heap.Init(&s.tasks)
	p := preferred{blob, r}
	if !slices.Contains(s.preferred, p) {
		s.preferred = append(s.preferred, p)
	}
	s.offerAll()
}

// add adds a blob, and returns its index.
func (s *scheduler) add(size int64) (index int) {
	index = len(s.blobs)
	s.blobs = append(s.blobs, blob{size: size})
	for _, src := range s.sources {
		if src.assigned {
			src.missing[index] = true
		}
	}
	return index
}

// drop cancels all requests for a blob, and ignores what is wanted of it later.
// It returns false for one that was dropped before.
func (s *scheduler) drop(blob int) bool {
	if s.blobs[blob].dropped {
		return false
	}
	s.abandonAll(func(t *task) bool { return t.blob == blob })
	s.claim(blob, s.blobs[blob].all())
	s.blobs[blob].dropped = true
	return true
}

// yield frees the end of a range that t holds, from r on, if t will not come to r within a
// moment.
func (s *scheduler) yield(t *task, r Range, now time.Time) {
	keep := roundUp(t.rest.Intersect(r).Start-t.rest.Start, s.sources[t.source].grain())
	if t.rest.Intersect(r).Empty() || t.whole || t.twin != nil || t.revoked || keep >= t.rest.Len() {
		return
	}
	if s.timeLeft(t, now)*float64(keep)/float64(t.rest.Len()) > moment.Seconds() {
		s.keepOnly(t, keep, now)
	}
}

// takePreferred gives the first free bytes of a preferred range to source i: as
// few as are worth a request, so that several sources fetch the range.
func (s *scheduler) takePreferred(i int) *task {
	src := s.sources[i]
	s.preferred = slices.DeleteFunc(s.preferred, func(p preferred) bool {
		return len(s.blobs[p.blob].free.Within(p.Range)) == 0
	})
	for _, p := range s.preferred {
		if src.missing[p.blob] || s.barred(i, p.blob) || !src.mayRange() {
			continue
		}
		first := s.blobs[p.blob].free.Within(p.Range)[0]
		r := Range{first.Start, min(first.End, first.Start+minSplit)}
		s.claim(p.blob, r)
		s.inFlight += r.Len()
		return &task{source: i, blob: p.blob, asked: r, rest: r}
	}
	return nil
}
