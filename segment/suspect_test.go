package segment

import (
	"testing"
	"time"
)

// TestASuspect shows when a suspect is asked again: once it is cleared, or when
// the other does not bring enough.
func TestASuspect(t *testing.T) {
	for name, tc := range map[string]struct {
		other int64         // bytes that the other brings in each step
		clear bool          // after a second
		asked time.Duration // 0: never
	}{
		"the other does":      {other: mib, asked: 0},
		"the other is silent": {other: 0, asked: patience},
		"the other trickles":  {other: 100, asked: 7500 * time.Millisecond}, // the rates are means of some seconds
		"it was cleared":      {other: mib, clear: true, asked: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(0, []int64{1 << 40}, []int{1, 1}, 1)
			s.want(0, Range{0, 1 << 40})
			now := time.Unix(0, 0)
			var tasks [2]*task
			step := func(bytes ...int64) {
				for task := s.next(now); task != nil; task = s.next(now) {
					tasks[task.source] = task
					s.opened(task, task.asked, now)
				}
				now = now.Add(tickInterval)
				for i, n := range bytes {
					if tasks[i] == nil || n == 0 {
						continue
					}
					if s.advance(tasks[i], n, now) == 0 {
						s.end(tasks[i], outcome{kind: outcomeDone}, now)
						tasks[i] = nil
					}
				}
				s.tick(now)
				mustBalance(t, s, "Tick")
			}
			for range 20 {
				step(mib, mib)
			}
			s.setTrust(1, Suspect, now)
			if len(s.takeRevoked()) != 1 {
				t.Fatal("what it was at stays with it")
			}
			s.end(tasks[1], outcome{kind: outcomeDone}, now)
			tasks[1] = nil
			suspected := now
			var asked time.Duration
			for range 100 {
				step(tc.other)
				if tasks[1] != nil {
					asked = now.Sub(suspected)
					break
				}
				if tc.clear && now.Sub(suspected) == time.Second {
					s.setTrust(1, Trusted, now)
				}
			}
			if asked < tc.asked || asked > tc.asked+5*tickInterval {
				t.Errorf("asked after %v, want %v", asked, tc.asked)
			}
		})
	}
}
