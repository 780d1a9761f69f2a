package segment

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// checkAccounts compares every number that the scheduler keeps by hand with
// its tasks and free sets.
func (s *scheduler) checkAccounts() error {
	for _, check := range []func() error{s.checkBytes, s.checkBlobs, s.checkHeap, s.checkSources, s.checkDoubled} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkBytes holds the counts of bytes against the free sets and the tasks.
func (s *scheduler) checkBytes() error {
	var free, inFlight int64
	for i := range s.blobs {
		free += s.blobs[i].free.Len()
	}
	for _, t := range s.tasks {
		if t.rest.Len() < 0 {
			return fmt.Errorf("the rest %v of a task for %v is negative", t.rest, t.asked)
		}
		if !t.hedge && !t.whole {
			inFlight += t.rest.Len()
		}
	}
	if free != s.free || inFlight != s.inFlight {
		return fmt.Errorf("counted %d bytes free and %d in flight, want %d and %d", s.free, s.inFlight, free, inFlight)
	}
	return nil
}

// checkBlobs holds the list of blobs with free bytes against them, and shows
// that no byte is both free and in flight, or in flight twice except in a race.
func (s *scheduler) checkBlobs() error {
	var open []int
	streams := make([]*task, len(s.blobs))
	owned := make([]*task, 0, len(s.tasks))
	for _, t := range s.tasks {
		switch {
		case t.whole:
			streams[t.blob] = t
		case !t.hedge && !t.rest.Empty():
			owned = append(owned, t)
		}
	}
	slices.SortFunc(owned, func(x, y *task) int {
		return cmp.Or(cmp.Compare(x.blob, y.blob), cmp.Compare(x.rest.Start, y.rest.Start))
	})
	for i, t := range owned {
		if free := s.blobs[t.blob].free.Within(t.rest); len(free) > 0 {
			return fmt.Errorf("blob %d: of %v in flight, %v are free", t.blob, t.rest, free)
		}
		if next := i + 1; next < len(owned) && owned[next].blob == t.blob && owned[next].rest.Start < t.rest.End {
			return fmt.Errorf("blob %d: %v and %v are both in flight", t.blob, t.rest, owned[next].rest)
		}
	}
	for b := range s.blobs {
		if s.blobs[b].free.Len() > 0 {
			open = append(open, b)
		}
		if streams[b] != s.blobs[b].stream {
			return fmt.Errorf("the stream of blob %d is %p, want %p", b, s.blobs[b].stream, streams[b])
		}
	}
	if !slices.Equal(open, s.withFree) {
		return fmt.Errorf("blobs %v are listed as having free bytes, want %v", s.withFree, open)
	}
	return nil
}

// checkHeap shows that tasks know their places and that twins know each other.
func (s *scheduler) checkHeap() error {
	for i, t := range s.tasks {
		if t.index != i {
			return fmt.Errorf("task %d of the heap says that it is task %d", i, t.index)
		}
		if i > 0 && s.tasks.Less(i, (i-1)/2) {
			return fmt.Errorf("task %d of the heap ends after its parent", i)
		}
		if w := t.twin; w != nil && (w.twin != t || w.hedge == t.hedge || w.index < 0) {
			return fmt.Errorf("the twin of task %d does not fit it", i)
		}
	}
	return nil
}

// checkSources holds the counts of each source against the tasks.
func (s *scheduler) checkSources() error {
	type counts struct{ open, small, answers, paused int }
	want := make([]counts, len(s.sources))
	for _, t := range s.tasks {
		c := &want[t.source]
		c.open++
		c.small += s.small(t)
		if !t.opened.IsZero() {
			c.answers++
		}
		if t.paused {
			c.paused++
		}
	}
	for i, src := range s.sources {
		if got := (counts{src.active, src.small, src.answers, src.paused}); got != want[i] {
			return fmt.Errorf("source %d counts %+v, want %+v", i, got, want[i])
		}
		if src.probe != nil && src.probe.index < 0 {
			return fmt.Errorf("the probe of source %d is over", i)
		}
		if src.queued != slices.Contains(s.ready, i) || src.idle != slices.Contains(s.idle, i) {
			return fmt.Errorf("source %d is in the wrong queues", i)
		}
	}
	return nil
}

// checkDoubled shows that the bytes counted as fetched twice hold those that
// hedges may still fetch twice, and are not more than came.
func (s *scheduler) checkDoubled() error {
	var expected int64
	for _, t := range s.tasks {
		if t.extra > 0 && t.twin == nil {
			return fmt.Errorf("a task without a twin expects %d bytes twice", t.extra)
		}
		expected += t.extra
	}
	if s.doubled < expected || s.doubled > expected+s.served {
		return fmt.Errorf("counted %d bytes as fetched twice, with %d expected and %d served", s.doubled, expected, s.served)
	}
	return nil
}

// mustBalance ends the test where the accounts of s are wrong.
func mustBalance(t testing.TB, s *scheduler, after string) {
	if err := s.checkAccounts(); err != nil {
		t.Helper() // which takes as long as the checks
		t.Fatalf("after %s: %v", after, err)
	}
}

// TestAccountsAreVerified falsifies one number at a time.
func TestAccountsAreVerified(t *testing.T) {
	for name, falsify := range map[string]func(s *scheduler, t *task){
		"free":      func(s *scheduler, _ *task) { s.free++ },
		"in flight": func(s *scheduler, _ *task) { s.inFlight-- },
		"doubled":   func(s *scheduler, _ *task) { s.doubled-- },
		"blobs":     func(s *scheduler, _ *task) { s.withFree = nil },
		"owner":     func(s *scheduler, t *task) { s.blobs[0].free.Add(t.rest); s.free += t.rest.Len() },
		"owners": func(s *scheduler, t *task) {
			s.opened(t, t.asked, time.Unix(1, 0))
			other := s.next(time.Unix(1, 0))
			other.rest = Range{t.rest.Start, t.rest.Start + other.rest.Len()}
		},
		"stream": func(s *scheduler, t *task) { s.blobs[0].stream = t },
		"heap":   func(_ *scheduler, t *task) { t.index++ },
		"open":   func(s *scheduler, _ *task) { s.sources[0].active++ },
		"paused": func(_ *scheduler, t *task) { t.paused = true },
	} {
		s := newScheduler(mib, []int64{4 * mib}, []int{2}, 1)
		s.want(0, Range{0, 4 * mib})
		task := s.next(time.Unix(0, 0))
		mustBalance(t, s, "Next")
		falsify(s, task)
		if s.checkAccounts() == nil {
			t.Errorf("%s: a wrong number passes", name)
		}
	}
}
