package segment

import (
	"slices"
	"testing"
	"time"
)

// TestHold follows a scheduler of three blobs that is told which of them are
// to be fetched before those after them.
func TestHold(t *testing.T) {
	s := NewScheduler(mib, []int64{mib, mib, mib}, []int{6}, 1)
	now := time.Unix(0, 0)
	for b := range 3 {
		s.Want(b, Range{0, mib})
	}
	var tasks []*Task
	asked := func(what string, want ...int) {
		t.Helper()
		var blobs []int
		for task := s.Next(now); task != nil; task = s.Next(now) {
			s.Opened(task, task.Asked, now)
			tasks = append(tasks, task)
			blobs = append(blobs, task.Blob)
		}
		mustBalance(t, s, what)
		if blobs = slices.Compact(blobs); !slices.Equal(blobs, want) {
			t.Fatalf("%s: blobs %v are asked for, want %v", what, blobs, want)
		}
	}
	end := func(complete bool) {
		for _, task := range tasks {
			if complete {
				s.Advance(task, task.rest.Len(), now)
			}
			s.End(task, Outcome{Kind: Done}, now)
		}
		tasks = nil
	}

	asked("at first", 0, 1, 2)
	s.HoldAfter(1, now)
	if revoked := s.Revoked(); len(revoked) == 0 || slices.ContainsFunc(revoked, func(t *Task) bool { return t.Blob != 2 }) {
		t.Fatalf("%d tasks are taken away", len(revoked))
	}
	end(false)
	asked("with one held", 0, 1)
	s.HoldAfter(0, now)
	end(false)
	asked("with one before it", 0)
	for range 10 {
		end(true)
		if s.blobs[0].free.Len() > 0 {
			asked("until that is complete", 0)
		}
	}
	if !s.Idle(now) || s.Left() == 0 {
		t.Error("others are fetched while the held one is judged")
	}
	s.Release(0)
	asked("after it", 1)
	end(false)
	now = now.Add(time.Minute)
	s.Tick(now)
	asked("after long", 1, 2)
}
