package segment

import (
	"testing"
	"time"
)

// TestARateThatRisesByItselfIsNoReasonToGrow tries no step at a far source while its
// connections leave their slow start: the step would get the credit for that.
func TestARateThatRisesByItselfIsNoReasonToGrow(t *testing.T) {
	for roundTrip, far := range map[time.Duration]bool{20 * time.Millisecond: false, 200 * time.Millisecond: true} {
		src := newSource(0)
		src.roundTrip, src.active = roundTrip, src.target
		src.latency = average{0.2, true}
		now, rate, grewAt := time.Unix(0, 0), 64.*kib, time.Duration(0)
		for elapsed := time.Duration(0); grewAt == 0 && elapsed < time.Minute; elapsed += tickInterval {
			if elapsed < 5*time.Second {
				rate *= 1.08 // it doubles in about a second
			}
			src.served += int64(rate * tickInterval.Seconds())
			if src.growth.step(src, src.served, now, true) > src.target {
				grewAt = elapsed
			}
			now = now.Add(tickInterval)
		}
		if late := grewAt >= 5*time.Second; late != far || grewAt == 0 {
			t.Errorf("far %v: the first step came after %v", far, grewAt)
		}
	}
}

// TestAFullQueueIsNoReasonToGrow tries no step at a far source whose answers take
// twice as long as a round trip: they wait in a queue, as more connections would.
func TestAFullQueueIsNoReasonToGrow(t *testing.T) {
	for latency, grows := range map[float64]bool{0.2: true, 0.39: true, 0.41: false, 2: false} {
		s := newScheduler(0, []int64{mib}, []int{0}, 1)
		s.warm(0, 6, 200*time.Millisecond)
		src, now := s.sources[0], time.Unix(1, 0)
		src.active, src.served, src.latency = src.target, mib, average{latency, true}
		src.meter.begin(time.Unix(0, 0))
		src.meter.add(mib, now)
		if got := s.worthGrowing(src, now); got != grows {
			t.Errorf("a latency of %.2f s: worth growing %v", latency, got)
		}
	}
}

// TestNoConnectionsAtTheEnd asks whether more connections to a source could matter, when
// so many seconds are left. New connections to a far one would come too late.
func TestNoConnectionsAtTheEnd(t *testing.T) {
	for _, tc := range []struct {
		roundTrip time.Duration
		left      int64 // seconds
		grows     bool
	}{{200 * time.Millisecond, 1, false}, {200 * time.Millisecond, 2, true}, {20 * time.Millisecond, 1, true}} {
		s := newScheduler(0, []int64{10 * mib}, []int{0}, 1)
		s.want(0, Range{0, tc.left * mib})
		s.warm(0, 6, tc.roundTrip)
		src, now := s.sources[0], time.Unix(1, 0)
		src.active, src.served, src.latency = src.target, mib, average{tc.roundTrip.Seconds(), true}
		src.meter.begin(time.Unix(0, 0))
		src.meter.add(mib, now)
		s.rate = mib
		if got := s.worthGrowing(src, now); got != tc.grows {
			t.Errorf("%d s left, %v away: worth growing %v", tc.left, tc.roundTrip, got)
		}
	}
}
