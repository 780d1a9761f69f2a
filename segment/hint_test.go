package segment

import (
	"testing"
	"time"
)

// TestHintSavesTheSearch pulls twice from a mirror that caps each connection:
// what the first pull found out, the second one knows.
func TestHintSavesTheSearch(t *testing.T) {
	sim := simulation{dt: 5 * time.Millisecond, limit: time.Hour, blobs: []int64{20 * mib}, sources: []simSource{
		{rate: 10 * mib, connCap: mib / 2, latency: 40 * time.Millisecond},
	}}
	first := sim.run(t)
	if h := first.hints()[0]; h.Connections < 16 {
		t.Fatalf("learned %+v", h)
	}
	sim.hints = first.hints()
	second := sim.run(t)
	if second.took > first.took*9/10 {
		t.Errorf("%v, then %v with a hint", first.took, second.took)
	}
}

// TestHintIsNoTruth gives the scheduler wrong hints.
func TestHintIsNoTruth(t *testing.T) {
	sim := simulation{dt: 5 * time.Millisecond, limit: time.Hour, blobs: []int64{40 * mib}, sources: []simSource{
		{rate: 4 * mib, latency: 40 * time.Millisecond, atOnce: 2}, {rate: 4 * mib, latency: 40 * time.Millisecond},
	}}
	sim.hints = []Hint{{Connections: 1000, Rate: 1}, {Connections: -5, Rate: 1 << 60}}
	res := sim.run(t)
	res.complete(t, sim.blobs)
	if efficiency := 5 / res.took.Seconds(); efficiency < 0.85 {
		t.Errorf("efficiency %.3f", efficiency)
	}
}

// TestAHintOfSilence has a source that left a request without an answer before the fetch, and
// another one.
func TestAHintOfSilence(t *testing.T) {
	silent := simSource{rate: mib, latency: time.Hour}
	good := simSource{rate: 4 * mib, latency: 200 * time.Millisecond}
	failing := good
	failing.fault = func(_ *simTask, now time.Duration) simFault {
		if now > 900*time.Millisecond {
			return simStall
		}
		return simFine
	}
	for about, tc := range map[string]struct {
		first, second simSource
		blob          int64
		most          time.Duration
	}{
		"the other brings it":    {silent, good, 300 * kib, 500 * time.Millisecond},
		"it answers again":       {good, good, 40 * mib, 7 * time.Second}, // one of them needs 10 s
		"the other falls silent": {good, failing, 16 * mib, 15 * time.Second},
	} {
		t.Run(about, func(t *testing.T) {
			sim := simulation{dt: 5 * time.Millisecond, limit: time.Hour, blobs: []int64{tc.blob}, sources: []simSource{tc.first, tc.second}}
			sim.hints = []Hint{{Silent: true}, {}}
			res := sim.run(t)
			res.complete(t, sim.blobs)
			if res.took > tc.most {
				t.Errorf("took %v", res.took)
			}
		})
	}
}

// TestTheFirstFlight asks a source for as many ranges as it has connections before
// it has answered one, if an answer takes long. Where it answers each with the whole
// blob, one is read.
func TestTheFirstFlight(t *testing.T) {
	for _, tc := range []struct {
		connections int
		roundTrip   time.Duration
		want        int
	}{{0, 0, 1}, {14, ms(50), 1}, {0, ms(200), FirstConnections}, {14, ms(200), 14}} {
		s := newScheduler(0, []int64{64 * mib}, []int{0}, 1)
		s.warm(0, tc.connections, tc.roundTrip)
		s.want(0, Range{0, 64 * mib})
		now := time.Unix(0, 0)
		var tasks []*task
		for task := s.next(now); task != nil; task = s.next(now) {
			tasks = append(tasks, task)
		}
		if len(tasks) != tc.want {
			t.Errorf("%v: %d requests at once, want %d", tc.roundTrip, len(tasks), tc.want)
		}
		for i, task := range tasks {
			if useful := s.opened(task, Range{0, 64 * mib}, now); useful != (i == 0) {
				t.Errorf("%v: whole answer %d is of use: %v", tc.roundTrip, i, useful)
			}
		}
	}
}

// TestASmallBlobOfAFarSource fetches a blob by one request without a range, but from a far
// source by all connections.
func TestASmallBlobOfAFarSource(t *testing.T) {
	for roundTrip, want := range map[time.Duration]int{ms(50): 1, ms(400): 14} {
		s := newScheduler(0, []int64{mib}, []int{0}, 1)
		s.warm(0, 14, roundTrip)
		s.want(0, Range{0, mib})
		now, requests := time.Unix(0, 0), 0
		s.tick(now)
		for task := s.next(now); task != nil; task = s.next(now) {
			requests++
		}
		if requests != want {
			t.Errorf("%v: %d requests, want %d", roundTrip, requests, want)
		}
	}
}

// TestRangesIgnoredAtOnce answers many requests at the same time with whole
// blobs: they count for one.
func TestRangesIgnoredAtOnce(t *testing.T) {
	s := newScheduler(mib, []int64{100 * mib}, []int{32}, 1)
	s.expect(0, Hint{Connections: 64}, time.Unix(0, 0))
	s.warm(0, 0, time.Second)
	s.want(0, Range{0, 100 * mib})
	now := time.Unix(0, 0)
	var tasks []*task
	for task := s.next(now); task != nil; task = s.next(now) {
		tasks = append(tasks, task)
	}
	for _, task := range tasks {
		if !s.opened(task, Range{0, 100 * mib}, now) {
			s.end(task, outcome{kind: outcomeDone}, now)
		}
	}
	if again := s.sources[0].rangesAgain.Sub(now); len(tasks) < 30 || again != longPatience {
		t.Errorf("after %d answers, ranges are tried again in %v", len(tasks), again)
	}
}
