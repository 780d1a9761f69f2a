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

// TestTwoSourcesDoNotTakeARaceFromEachOther lets two idle sources race an answer that is
// overdue: one of them asks, and the other one waits for what that brings.
func TestTwoSourcesDoNotTakeARaceFromEachOther(t *testing.T) {
	s := newScheduler(0, []int64{mib}, []int{1, 1, 1}, 1)
	s.want(0, Range{0, mib})
	now := time.Unix(0, 0)
	late := s.next(now)
	s.sources[late.source].latency.add(0.1)
	now = now.Add(longPatience + moment)
	s.tick(now)
	var asked []*task
	for task := s.next(now); task != nil && len(asked) < 10; task = s.next(now) {
		asked = append(asked, task)
		for _, revoked := range s.takeRevoked() {
			s.end(revoked, outcome{kind: outcomeDone}, now)
		}
	}
	if len(asked) != 1 || asked[0].twin != late || late.revoked {
		t.Errorf("%d requests for what is late", len(asked))
	}
	mustBalance(t, s, "the race")
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

// TestALateRequestOfAFarSourceKeepsItsBytes takes back what a request will bring long
// after the rest. At a far source that costs a connection and what is on its way, so
// it waits until nobody has anything else to fetch.
func TestALateRequestOfAFarSourceKeepsItsBytes(t *testing.T) {
	for free, want := range map[int64]int64{64 * mib: 8 * mib, 0: 1072 * kib} {
		s := newScheduler(0, []int64{8 * mib, 64 * mib}, []int{1, 1}, 1)
		now := time.Unix(0, 0)
		s.want(0, Range{0, mib})
		late := s.next(now)
		s.claim(0, Range{0, 8 * mib}) // it is the only request
		s.opened(late, late.asked, now)
		s.want(1, Range{0, free})
		src := s.sources[late.source]
		src.latency, src.roundTrip = average{5, true}, 5*time.Second
		now = now.Add(30 * time.Second)
		late.asked = Range{0, 8 * mib}
		late.rest, late.got, late.moved = late.asked, mib, now
		late.meter = meter{}
		late.meter.begin(now.Add(-20 * time.Second))
		late.meter.add(640*kib, now) // it needs 38 s
		s.rate = float64(s.left()) / 0.5
		s.takeBack(late, now)
		if got := late.rest.Len(); got != want {
			t.Errorf("with %d bytes free, the late request keeps %d, want %d", free, got, want)
		}
	}
}

// TestARequestBringsAGrainAtMost estimates what requests bring that have brought
// little: a body that has been silent from the start may still come.
func TestARequestBringsAGrainAtMost(t *testing.T) {
	start := time.Unix(0, 0)
	paused := meter{}
	paused.begin(start.Add(4 * time.Second))
	for name, tc := range map[string]struct {
		task task
		want float64
	}{
		"not opened":             {task{began: start}, mib},
		"nothing came":           {task{opened: start}, grain / 4},
		"it paused, then flowed": {task{opened: start, got: 2 * grain, moved: start.Add(4 * time.Second), meter: paused}, 2 * grain / 4},
		"young":                  {task{opened: start.Add(3900 * time.Millisecond)}, mib},
	} {
		if got := tc.task.rate(start.Add(4*time.Second), mib, &source{}); got != tc.want {
			t.Errorf("%s: %.0f bytes a second, want %.0f", name, got, tc.want)
		}
	}
}

// TestTheBudgetOfRaces makes a request a second time in an image of 2 MiB, of which 2 %
// are less than the request: two small ones are always allowed.
func TestTheBudgetOfRaces(t *testing.T) {
	for twice, want := range map[int64]bool{0: true, 2 * minSplit: false} {
		s := newScheduler(0, []int64{2 * mib}, []int{1, 1}, 1)
		now := time.Unix(0, 0)
		s.want(0, Range{0, 2 * mib})
		late := s.next(now)
		late.rest = Range{0, minSplit}
		s.opened(late, late.asked, now)
		other := s.sources[1-late.source]
		other.perConn, other.latency = average{8 * mib, true}, average{0.01, true}
		s.doubled = twice
		now = now.Add(time.Second)
		if got := s.worthRacing(other, late, now); got != want {
			t.Errorf("with %d bytes that came twice: %t", twice, got)
		}
	}
}

// TestRacesAtTheEnd has a few bytes of 64 MiB left, which a far source has begun to bring:
// another one asks for them as well when nothing has come for half of the time of an answer.
func TestRacesAtTheEnd(t *testing.T) {
	const size = 64 * mib
	for name, tc := range map[string]struct {
		roundTrip, silent time.Duration
		left              int64
		want              bool
	}{
		"silent":        {ms(300), ms(160), 8 * kib, true},
		"not silent":    {ms(300), ms(140), 8 * kib, false},
		"much is left":  {ms(300), ms(160), 8 * mib, false},
		"a near source": {ms(50), ms(160), 8 * kib, false},
	} {
		s := newScheduler(0, []int64{size}, []int{1, 1}, 1)
		start := time.Unix(0, 0)
		s.want(0, Range{0, size})
		late := s.next(start)
		other := s.sources[1-late.source]
		other.roundTrip, other.latency, other.perConn = tc.roundTrip, average{0.3, true}, average{mib, true}
		s.opened(late, late.asked, start)
		now := start.Add(moment)
		s.advance(late, mib, now)
		late.rest.End = late.rest.Start + 8*kib
		s.free, s.inFlight = 0, tc.left
		if got := s.worthRacing(other, late, now.Add(tc.silent)); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// raced returns a scheduler of three far sources with one connection each, of which two fetch
// the same megabyte, at the same slow rate.
func raced(t *testing.T) (s *scheduler, late *task, now time.Time) {
	s = newScheduler(0, []int64{mib}, []int{1, 1, 1}, 1)
	now = time.Unix(0, 0)
	s.want(0, Range{0, mib})
	late = s.next(now)
	for i, src := range s.sources {
		src.perConn, src.latency, src.ranges = average{128 * kib, true}, average{0.2, true}, rangesServed
		s.sources[i].roundTrip = 200 * time.Millisecond
	}
	twin := s.double((late.source+1)%3, late)
	s.start(twin, now)
	for range 20 {
		now = now.Add(100 * time.Millisecond)
		for _, task := range []*task{late, twin} {
			if task.opened.IsZero() {
				s.opened(task, task.asked, now)
			}
			s.advance(task, 6*kib, now)
		}
		s.tick(now)
	}
	return s, late, now
}

// TestBothRequestsOfARaceAreSplit lets a third source take over the end of what two others
// fetch at the same time: both end earlier.
func TestBothRequestsOfARaceAreSplit(t *testing.T) {
	s, late, now := raced(t)
	s.offerAll()
	extra := s.next(now)
	if extra == nil {
		t.Fatal("the third source is idle")
	}
	if end := extra.asked.Start; late.rest.End != end || late.twin.rest.End != end || extra.asked.End != mib || end < mib/4 {
		t.Errorf("the third source fetches %v, the others %v and %v", extra.asked, late.rest, late.twin.rest)
	}
	if s.left() != mib-120*kib {
		t.Errorf("%d bytes are left, want %d", s.left(), mib-120*kib)
	}
}

// TestAPortionLeavesARequestForEachBlob has one source, which is allowed 20 requests until
// everything should end. The requests to a large blob get larger with each other blob.
func TestAPortionLeavesARequestForEachBlob(t *testing.T) {
	var before int64
	for others := range 4 {
		blobs := []int64{64*mib - int64(others)*kib} // 64 MiB together
		for range others {
			blobs = append(blobs, kib)
		}
		s, now := newScheduler(0, blobs, []int{4}, 1), time.Unix(0, 0)
		for b, size := range blobs {
			s.want(b, Range{0, size})
		}
		src := s.sources[0]
		src.best = 4 * mib
		src.ration = ration{known: true, tokens: 20, most: 20, every: time.Hour, filled: now}
		portion := s.portion(src, 0, now)
		if portion <= before {
			t.Errorf("beside %d blobs, a request is for %d bytes, no more than %d", others, portion, before)
		}
		before = portion
	}
}

// TestNothingIsTakenBackInASlowStart has a source with a latency of 0.6 s: three round trips
// say nothing of its requests, unless everything else should be done before.
func TestNothingIsTakenBackInASlowStart(t *testing.T) {
	for _, test := range []struct {
		rate  float64 // of all sources; 16 MiB are left
		after time.Duration
		want  bool
	}{
		{mib, 1700 * time.Millisecond, true},
		{mib, 1900 * time.Millisecond, false},
		{16 * mib / 1.4, 1300 * time.Millisecond, true},
		{16 * mib / 1.4, 1500 * time.Millisecond, false},
		{64 * mib, 900 * time.Millisecond, true},
		{64 * mib, 1100 * time.Millisecond, false},
	} {
		s, now := newScheduler(0, []int64{16 * mib}, []int{1}, 1), time.Unix(0, 0)
		s.want(0, Range{0, 16 * mib})
		task := s.next(now)
		s.sources[0].latency = average{0.6, true}
		s.rate = test.rate
		if got := s.young(task, now.Add(test.after)); got != test.want {
			t.Errorf("after %v, with the end in %.1f s: %t", test.after, s.horizon(), got)
		}
	}
}

// TestAQuotaLeavesTimeForTheAnswer asks a source for what it brings in half of the time that
// is left after its answer has come.
func TestAQuotaLeavesTimeForTheAnswer(t *testing.T) {
	s := newScheduler(0, []int64{64 * mib}, []int{1}, 1)
	s.want(0, Range{0, 64 * mib})
	s.rate = float64(s.left()) / 4 // everything should end in 4 s
	src := s.sources[0]
	src.perConn, src.latency = average{mib, true}, average{2, true}
	if got := s.quota(src, time.Unix(0, 0)); got != mib {
		t.Errorf("a request is for %d bytes, want %d", got, mib)
	}
}
