package segment

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// busyScheduler has a source for each of these rates, in bytes a second, which has brought
// that for two seconds by one request. size bytes of a blob are free.
func busyScheduler(t *testing.T, size int64, latencies []time.Duration, rates ...int64) (s *scheduler, tasks []*task, now time.Time) {
	blobs := []int64{size}
	for range rates {
		blobs = append(blobs, 100*mib)
	}
	s = newScheduler(0, blobs, make([]int, len(rates)), 1)
	now = time.Unix(0, 0)
	for i := range rates {
		r := s.blobs[i+1].all()
		s.want(i+1, r)
		s.claim(i+1, r)
		s.inFlight += r.Len()
		tk := &task{source: i, blob: i + 1, asked: r, rest: r}
		s.start(tk, now)
		s.opened(tk, r, now.Add(latencies[i]))
		s.sources[i].ranges = rangesServed
		tasks = append(tasks, tk)
	}
	for range 20 {
		now = now.Add(tickInterval)
		for i, rate := range rates {
			s.advance(tasks[i], rate/10, now)
		}
		s.measure(now)
	}
	s.want(0, Range{0, size})
	mustBalance(t, s, "busy")
	return s, tasks, now
}

// leave leaves so many bytes to a task.
func leave(s *scheduler, tk *task, bytes int64, now time.Time) {
	s.keepOnly(tk, bytes, now)
	s.claim(tk.blob, s.blobs[tk.blob].all())
}

// Two sources of 4 MiB/s and one of 8 share what is free. The first has to bring 1 MiB
// before, the second nothing, and the third answers after half a second.
func TestShare(t *testing.T) {
	for _, tc := range []struct {
		free int64
		want []float64 // MiB
	}{
		{3 * mib, []float64{1, 2, 0}},                                 // until 0.5 s
		{7 * mib, []float64{2, 3, 2}},                                 // until 0.75 s
		{200 * mib, []float64{math.Inf(1), math.Inf(1), math.Inf(1)}}, // until 12.5 s: too long to be bounded
	} {
		s, tasks, now := busyScheduler(t, tc.free, []time.Duration{0, 0, time.Second / 2}, 4*mib, 4*mib, 8*mib)
		for i, bytes := range []int64{mib, 1, 1} {
			leave(s, tasks[i], bytes, now)
		}
		for i, want := range tc.want {
			got := float64(s.share(i, now)) / mib
			if got >= math.MaxInt64/mib {
				got = math.Inf(1)
			}
			if got != want && !(math.Abs(got-want) < 0.1) {
				t.Errorf("of %d MiB, the share of source %d is %.2f MiB, want %.2f", tc.free/mib, i, got, want)
			}
		}
	}
}

// A store takes all that is left to it, and has no part in what the mirrors fetch.
func TestAStoreSharesNothing(t *testing.T) {
	s, tasks, now := busyScheduler(t, 3*mib, []time.Duration{0, 0}, 4*mib, 4*mib)
	s.sources[1].assigned = true
	for _, tk := range tasks {
		leave(s, tk, 1, now)
	}
	if got := s.share(1, now); got < math.MaxInt64 {
		t.Errorf("the share of the store is %d bytes", got)
	}
	if got := s.share(0, now); got < 3*mib-mib/10 {
		t.Errorf("the share of the mirror is %d bytes", got)
	}
}

// A source that has enough to bring until the end gets nothing more, until no other source
// is expected to bring the rest.
func TestASourceWithEnoughGetsNothing(t *testing.T) {
	s, tasks, now := busyScheduler(t, mib, []time.Duration{0, 0}, 4*mib, 4*mib)
	leave(s, tasks[0], 2*mib, now)
	leave(s, tasks[1], 1, now)
	if tk := s.takeFree(0, now); tk != nil {
		t.Errorf("it got %v", tk.asked)
	}
	s.end(tasks[1], outcome{kind: outcomeDone}, now)
	if tk := s.takeFree(0, now); tk == nil {
		t.Error("it got nothing where the other source has no request")
	}
}

// Mirrors of 3, 5 and 9 MiB/s with any latencies end at nearly the same time, for images of
// any size. The loss is the time beside what the rates and the first answers take.
func TestAllSourcesEndTogether(t *testing.T) {
	simulates(t)
	rates := []float64{3 * mib, 5 * mib, 9 * mib}
	const seeds = 16
	var mean, waste float64
	for _, latencies := range [][]time.Duration{{ms(60), ms(40), ms(25)}, {ms(25), ms(40), ms(60)}, {ms(40), ms(60), ms(25)}, {ms(25), ms(60), ms(40)}} {
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, 9))
			sim := simulation{dt: ms(1), limit: time.Hour, lean: true, rng: rng, blobs: []int64{38*mib + rng.Int64N(4*mib), 20 * mib, 8 * mib, 2 * mib}}
			var total int64
			for _, size := range sim.blobs {
				total += size
			}
			var rate, first float64
			for i, r := range rates {
				sim.sources = append(sim.sources, simSource{rate: r, latency: latencies[i], jitter: ms(8)})
				rate += r
				first += r * (latencies[i] + ms(4)).Seconds()
			}
			res := sim.run(t)
			res.complete(t, sim.blobs)
			mean += (res.took.Seconds() - (float64(total)+first)/rate) / seeds / 4
			waste += (float64(res.served)/float64(total) - 1) / seeds / 4
		}
	}
	t.Logf("%.4f s lost, waste %.4f", mean, waste)
	if mean > 0.016 {
		t.Errorf("%.4f s are lost, want 0.016", mean)
	}
	if waste > 0.001 {
		t.Errorf("waste %.4f, want 0.001", waste)
	}
}
