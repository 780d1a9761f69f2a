package transfer

import (
	"testing"
	"time"
)

func TestLag(t *testing.T) {
	ms := time.Millisecond
	type sample struct {
		after  time.Duration // since the one before
		behind bool
		lasts  bool
	}
	for what, samples := range map[string][]sample{
		"a gap that closes":     {{0, true, false}, {60 * ms, false, false}, {time.Second, true, false}},
		"a slow processor":      {{0, true, false}, {400 * ms, true, false}, {200 * ms, true, true}},
		"one that keeps up":     {{0, false, false}, {time.Minute, false, false}},
		"one that catches up":   {{0, true, false}, {time.Second, true, true}, {0, false, false}, {400 * ms, true, false}},
		"one gap after another": {{0, true, false}, {300 * ms, false, false}, {0, true, false}, {300 * ms, true, false}},
	} {
		var l lag
		now := time.Unix(0, 0)
		for i, s := range samples {
			now = now.Add(s.after)
			if got := l.lasts(s.behind, now); got != s.lasts {
				t.Errorf("%s: at sample %d it lasts: %v", what, i, got)
			}
		}
	}
}
