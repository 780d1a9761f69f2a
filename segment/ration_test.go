package segment

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRations holds the scheduler against sources that count requests.
func TestRations(t *testing.T) {
	layers := []int64{28 * mib, 16 * mib, 8 * mib, 4 * mib, 2 * mib, 2 * mib, 2 * kib}
	perMinute := simRation{burst: 9, every: 2 * time.Second, retryAfter: true}
	one := func(r simRation) []simSource { return []simSource{{rate: 4 * mib, latency: ms(300), ration: r}} }
	for name, c := range map[string]*condition{
		"thirty a minute": {simulation: simulation{
			blobs: layers, sources: one(perMinute),
		}, rate: 4 * mib, efficiency: 0.88, waste: 0.01, requests: 20, rejected: 4},
		"thirty a minute, as in an earlier fetch": {simulation: simulation{
			blobs: layers, sources: one(perMinute), hints: []Hint{{Rate: mib, Burst: 8, PerMinute: 30, Left: 8}},
		}, rate: 4 * mib, efficiency: 0.88, waste: 0.01, requests: 16},
		"thirty a minute, and it says so": {simulation: simulation{
			blobs: layers, sources: []simSource{{rate: 4 * mib, latency: ms(260), rtt: ms(40), ration: simRation{burst: 9, every: 2 * time.Second, headers: true}}},
		}, rate: 4 * mib, efficiency: 0.95, waste: 0.01, requests: 11},
		"thirty a minute, without Retry-After": {simulation: simulation{
			blobs: layers, sources: one(simRation{burst: 9, every: 2 * time.Second}),
		}, rate: 4 * mib, efficiency: 0.85, waste: 0.01, rejected: 8},
		"more layers than requests": {simulation: simulation{
			blobs: append(repeat(24, mib), 2*kib), sources: one(perMinute),
		}, rate: 25. / 32 * mib, efficiency: 0.9, rejected: 10},
		"ten in a second, of which Retry-After says one": {simulation: simulation{
			blobs: repeat(200, 32*kib), sources: one(simRation{burst: 20, every: ms(100), retryAfter: true}),
		}, rate: 32 * kib * 10, efficiency: 0.3, rejected: 25},
		"small layers beside another": {simulation: simulation{
			blobs: append(repeat(40, 512*kib), 40*mib), sources: []simSource{
				{rate: 4 * mib, latency: ms(300), ration: perMinute}, {rate: 4 * mib, latency: ms(100)},
			},
		}, rate: 8 * mib, efficiency: 0.8, waste: 0.01, rejected: 4},
	} {
		t.Run(name, c.meet)
	}
}

// rationAt is a budget after so many answers in a second, and then a refusal.
func rationAt(answers int, wait time.Duration) (r *ration, now time.Time) {
	now = time.Unix(0, 0)
	r = new(ration)
	for range answers {
		r.spend(now)
		r.grant(now, now.Add(ms(500)))
	}
	now = now.Add(time.Second)
	r.refuse(wait, now)
	return r, now
}

func TestRationAfterARefusal(t *testing.T) {
	for name, tc := range map[string]struct {
		wait, every time.Duration
		most        float64
	}{
		"two seconds":        {2 * time.Second, 2 * time.Second, 8.5},
		"a window":           {59 * time.Second, 8 * time.Second, 8.875},
		"a moment":           {ms(100), ms(110), 1},
		"an hour to wait":    {time.Hour, 360*time.Second + ms(100), 9},
		"no time to wait":    {0, ms(100), 1},
		"as long as a token": {time.Second, time.Second, 8},
	} {
		t.Run(name, func(t *testing.T) {
			r, now := rationAt(9, tc.wait)
			if d := r.every - tc.every; d < -ms(1) || d > ms(1) || r.most < tc.most-0.01 || r.most > tc.most+0.01 {
				t.Errorf("%v between tokens, %v at the most, want %v and %v", r.every, r.most, tc.every, tc.most)
			}
			if early := now.Add(tc.wait - ms(1)); r.allows(early) && tc.wait > 0 {
				t.Error("a request is allowed before the wait is over")
			}
			if !r.allows(now.Add(tc.wait + ms(1))) {
				t.Error("no request is allowed after the wait")
			}
		})
	}
}

// TestRationProbes allows one request without an answer after a refusal.
func TestRationProbes(t *testing.T) {
	r, now := rationAt(9, ms(100))
	now = now.Add(time.Second)
	r.most, r.tokens = 5, 5
	if !r.allows(now) {
		t.Error("no request is allowed after a refusal")
	}
	if r.spend(now); r.allows(now) {
		t.Error("a second request is allowed before the first is answered")
	}
	if r.grant(time.Unix(0, 0), now); r.allows(now) {
		t.Error("the answer to an earlier request ends the probe")
	}
	if r.lose(now); !r.allows(now) {
		t.Error("no request is allowed after the first has ended without an answer")
	}
	r.spend(now)
	if r.grant(now, now.Add(ms(300))); !r.allows(now) {
		t.Error("no second request is allowed after the answer to the first")
	}
}

// TestRationLearnsFromTheNextRefusal refuses a request that the estimate allowed.
func TestRationLearnsFromTheNextRefusal(t *testing.T) {
	r, now := rationAt(9, time.Second)
	for _, seconds := range []time.Duration{1, 2} {
		r.spend(now.Add(seconds * time.Second))
	}
	r.grant(now.Add(time.Second), now.Add(time.Second))
	r.refuse(time.Second, now.Add(2*time.Second))
	if r.every != 2*time.Second {
		t.Errorf("%v between tokens, want 2s", r.every)
	}
	r.refuse(time.Minute, now.Add(time.Hour))
	if r.every > 16*time.Second {
		t.Errorf("%v between tokens after a long pause", r.every)
	}
}

func TestRationIsTold(t *testing.T) {
	now := time.Unix(0, 0)
	for name, tc := range map[string]struct {
		quota      Quota
		unanswered int
		level      float64
		every      time.Duration
	}{
		"some left":             {Quota{Left: 5, Most: 10, Every: time.Second}, 0, 5, time.Second},
		"some are on their way": {Quota{Left: 5, Most: 10, Every: time.Second}, 3, 2, time.Second},
		"none left":             {Quota{Most: 10, Every: 2 * time.Second, Reset: 2 * time.Second}, 0, 0, 2 * time.Second},
		"none left in a window": {Quota{Most: 60, Every: time.Second, Reset: 30 * time.Second}, 0, -29, time.Second},
		"a year":                {Quota{Most: 1, Every: 8760 * time.Hour, Reset: 8760 * time.Hour}, 0, 0, maxRetryAfter},
		"no period":             {Quota{Left: 2, Most: 10}, 0, 2, longRequest},
	} {
		t.Run(name, func(t *testing.T) {
			var r ration
			r.learn(tc.quota, tc.unanswered, now)
			if r.level(now) != tc.level || r.every != tc.every {
				t.Errorf("%v tokens and %v between them, want %v and %v", r.level(now), r.every, tc.level, tc.every)
			}
			r.refuse(time.Minute, now) // it does not count where the source said that none is left
			if tc.level < 1 && r.every != tc.every {
				t.Errorf("%v between tokens after a refusal", r.every)
			}
		})
	}
}

// TestTwoKindsOf429 tells a source that counts requests from one that limits how
// many it answers at once.
func TestTwoKindsOf429(t *testing.T) {
	for name, tc := range map[string]struct {
		answers int // at once, where six were before
		after   time.Duration
		again   bool // a second request, made after the first refusal
		counts  bool
	}{
		"fewer at once, and a pause":        {2, time.Second, false, true},
		"fewer at once, and refused before": {2, 0, true, true},
		"fewer at once":                     {2, 0, false, false},
		"as many at once":                   {6, time.Second, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(32)
			src.peak, src.answers = 6, tc.answers
			began := time.Unix(100, 0)
			for range 2 {
				now := began.Add(time.Second)
				src.fail(0, outcome{kind: outcomeBusy, after: tc.after}, began, now, rand.New(rand.NewPCG(1, 1)))
				if tc.again {
					began = now.Add(time.Second)
				}
			}
			if src.ration.known != tc.counts {
				t.Errorf("it counts requests: %v", src.ration.known)
			}
		})
	}
}

// TestABudgetIsRemembered passes a budget on from one fetch to the next.
func TestABudgetIsRemembered(t *testing.T) {
	r, now := rationAt(9, 2*time.Second)
	var h Hint
	r.remember(&h, now)
	if h != (Hint{Burst: 8, PerMinute: 30, Left: 0}) {
		t.Fatalf("remembered %+v", h)
	}
	h.Left = 3
	var next ration
	next.expect(h, now)
	if next.level(now) != 3 || next.every != 2*time.Second {
		t.Errorf("began with %v tokens and %v between them", next.level(now), next.every)
	}
	// Nobody has refused anything: there may be more.
	next.remember(&h, now)
	if h.PerMinute != 60 {
		t.Errorf("remembered %+v", h)
	}
	for _, odd := range []Hint{{}, {Burst: -1, PerMinute: 30}, {Burst: 3, PerMinute: -1}} {
		var r ration
		if r.expect(odd, now); r.known {
			t.Errorf("%+v is a budget", odd)
		}
	}
}

// TestSpare spares requests of a small budget for the blobs.
func TestSpare(t *testing.T) {
	for name, tc := range map[string]struct {
		left  int
		blobs int
		want  bool
	}{
		"enough":         {20, 3, true},
		"for blobs only": {4, 6, false},
		"the last one":   {1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(0, repeat(tc.blobs, mib), []int{0}, 1)
			now := time.Unix(0, 0)
			for b := range tc.blobs {
				s.want(b, Range{0, mib})
			}
			if !s.spare(s.sources[0], now) {
				t.Error("there is no request to spare without a budget")
			}
			s.sources[0].ration.learn(Quota{Left: tc.left, Most: 20, Every: time.Minute}, 0, now)
			if got := s.spare(s.sources[0], now); got != tc.want {
				t.Errorf("spare: %v", got)
			}
		})
	}
}
