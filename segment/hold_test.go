package segment

import (
	"slices"
	"testing"
	"time"
)

// TestHold holds two of three blobs, and releases them.
func TestHold(t *testing.T) {
	s := newScheduler(mib, []int64{mib, mib, mib}, []int{6}, 1)
	now := time.Unix(0, 0)
	for b := range 3 {
		s.want(b, Range{0, mib})
	}
	var tasks []*task
	asked := func(what string, want ...int) {
		t.Helper()
		var blobs []int
		for task := s.next(now); task != nil; task = s.next(now) {
			s.opened(task, task.asked, now)
			tasks = append(tasks, task)
			blobs = append(blobs, task.blob)
		}
		mustBalance(t, s, what)
		if blobs = slices.Compact(blobs); !slices.Equal(blobs, want) {
			t.Fatalf("%s: blobs %v are asked for, want %v", what, blobs, want)
		}
	}
	end := func(complete bool) {
		for _, task := range tasks {
			if complete {
				s.advance(task, task.rest.Len(), now)
			}
			s.end(task, outcome{kind: outcomeDone}, now)
		}
		tasks = nil
	}

	asked("at first", 0, 1, 2)
	s.hold(1, now)
	if revoked := s.takeRevoked(); len(revoked) == 0 || slices.ContainsFunc(revoked, func(t *task) bool { return t.blob != 2 }) {
		t.Fatalf("%d tasks are taken away", len(revoked))
	}
	end(false)
	asked("with one held", 0, 1)
	s.hold(0, now)
	end(false)
	asked("with one before it", 0)
	for range 10 {
		end(true)
		if s.blobs[0].free.Len() > 0 {
			asked("until that is complete", 0)
		}
	}
	if !s.nothingToFetch(now) || s.left() == 0 {
		t.Error("others are fetched while the held one is judged")
	}
	s.release(0)
	asked("after it", 1)
	end(false)
	now = now.Add(time.Minute)
	s.tick(now)
	asked("after long", 1, 2)
}
