package segment

import (
	"testing"
	"time"
)

// TestASecondHedgeTakesThePlaceOfTheFirst gives bytes that two silent sources
// hold to a third one.
func TestASecondHedgeTakesThePlaceOfTheFirst(t *testing.T) {
	const size = 400 << 10
	s := newScheduler(0, []int64{size}, []int{1, 1, 1}, 1)
	s.want(0, Range{0, size})
	start := time.Unix(0, 0)
	var asked []*task
	for now := start; now.Before(start.Add(14 * time.Second)); now = now.Add(tickInterval) {
		s.tick(now)
		for task := s.next(now); task != nil; task = s.next(now) {
			asked = append(asked, task)
		}
	}
	if len(asked) != 3 {
		t.Fatalf("%d requests, want one to each source", len(asked))
	}
	for i, revoked := range []bool{false, true, false} {
		if asked[i].asked.Len() != size || asked[i].revoked != revoked {
			t.Errorf("request %d, for %v: revoked %v, want %v", i, asked[i].asked, asked[i].revoked, revoked)
		}
	}
	now := start.Add(14 * time.Second)
	for _, task := range s.takeRevoked() {
		s.end(task, outcome{kind: outcomeDone}, now)
	}
	s.opened(asked[2], asked[2].asked, now)
	s.advance(asked[2], size, now)
	s.end(asked[2], outcome{kind: outcomeDone}, now)
	mustBalance(t, s, "all")
	if left := s.left(); left != 0 {
		t.Errorf("%d bytes left", left)
	}
}

// TestALongSilenceKeepsTheAccounts stops a source for minutes, after which its
// rate is next to nothing.
func TestALongSilenceKeepsTheAccounts(t *testing.T) {
	s := newScheduler(0, []int64{64 * mib}, []int{4}, 1)
	s.want(0, Range{0, 64 * mib})
	now := time.Unix(0, 0)
	step := func(interval time.Duration, bytes int64) {
		for task := s.next(now); task != nil; task = s.next(now) {
			s.opened(task, task.asked, now)
		}
		now = now.Add(interval)
		for _, task := range append(running(nil), s.tasks...) {
			if task.revoked || bytes > 0 && s.advance(task, bytes, now) == 0 {
				s.end(task, outcome{kind: outcomeDone}, now)
			}
		}
		s.tick(now)
		mustBalance(t, s, "Tick")
	}
	for range 30 {
		step(tickInterval, 32<<10)
	}
	for range 400 {
		step(time.Second, 0)
	}
}
