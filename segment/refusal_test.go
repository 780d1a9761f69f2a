package segment

import (
	"testing"
	"time"
)

// TestRefusalsOfASource compares a token that has expired with a source that
// does not serve us.
func TestRefusalsOfASource(t *testing.T) {
	const size = 64 * mib
	for name, tc := range map[string]struct {
		served bool // before the first refusal
		off    int  // after so many refusals
	}{
		"at once":             {served: false, off: 1},
		"after it has served": {served: true, off: strikes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(0, []int64{size}, []int{1}, 1)
			s.want(0, Range{0, size})
			now := time.Unix(0, 0)
			if tc.served {
				task := s.next(now)
				s.opened(task, task.asked, now)
				s.advance(task, task.asked.Len(), now)
				s.end(task, outcome{kind: outcomeDone}, now)
			}
			for n := 1; n <= tc.off; n++ {
				task := s.next(now)
				if task == nil {
					t.Fatalf("no request after %d refusals", n-1)
				}
				s.end(task, outcome{kind: outcomeRefused}, now)
				now = now.Add(time.Minute)
				s.tick(now)
			}
			if _, hopeless := s.hopeless(); !hopeless {
				t.Errorf("still hopes for a source after %d refusals", tc.off)
			}
		})
	}
}
