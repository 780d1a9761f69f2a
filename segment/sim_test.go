package segment

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// simSource is a mirror in virtual time.
type simSource struct {
	rate    float64 // bytes a second of all connections together
	connCap float64 // bytes a second of one; 0: no cap
	latency time.Duration
	most    int
	atOnce  int           // requests that are answered at the same time, 429 beyond; 0: any
	budget  int           // requests in a minute, 429 with Retry-After beyond; 0: any
	perMiB  time.Duration // wait before the first byte for each MiB asked for
	loss    float64       // of packets; each connection then has a window as TCP has
	// fault, if set, is asked at each step what becomes of a task.
	fault func(t *simTask, now time.Duration) simFault
}

type simFault int

const (
	simFine simFault = iota
	simStall
	simCut
	simRefuse // 503 to the request
)

type simTask struct {
	*Task
	openAt time.Duration
	opened bool
	credit float64
	got    int64
	window window
}

// window is TCP's, in packets, as far as a simulation needs it (RFC 5681): it
// doubles each round trip until the first loss, from then on grows by one, and
// falls by 0.3 with each loss, as CUBIC's does. Some losses are noticed by a
// time-out only.
type window struct {
	packets float64
	lossy   bool // there was a loss
	silent  time.Duration
}

// most is the bytes that the window lets through in dt.
func (w *window) most(src simSource, dt time.Duration, rng *rand.Rand) float64 {
	const packet, initial, timeout, byTimeout = 1448, 10, 400 * time.Millisecond, 0.15
	w.packets = max(w.packets, 2)
	if w.packets == 2 && !w.lossy {
		w.packets = initial
	}
	if w.silent > 0 {
		w.silent -= dt
		return 0
	}
	trips := dt.Seconds() / src.latency.Seconds()
	sent := w.packets * trips
	switch {
	case rng.Float64() < 1-math.Pow(1-src.loss, sent):
		w.lossy = true
		w.packets *= 0.7
		if rng.Float64() < byTimeout {
			w.packets, w.silent = 2, timeout
		}
	case w.lossy:
		w.packets += trips
	default:
		w.packets *= 1 + trips
	}
	return sent * packet
}

// simulation runs a Scheduler against mirrors in virtual time, in steps of dt.
type simulation struct {
	spent    map[int][]time.Duration // requests that count against a budget
	rejected int                     // 429s
	rng      *rand.Rand
	dt       time.Duration
	limit    time.Duration // of virtual time
	segment  int64
	blobs    []int64
	sources  []simSource
	hints    []Hint
	lean     bool // check the accounts at each tick only, where there are thousands of tasks
}

// check verifies the accounts of s after an event.
func (sim *simulation) check(t testing.TB, s *Scheduler, after string) {
	if !sim.lean || after == "Tick" {
		mustBalance(t, s, after)
	}
}

type simResult struct {
	took     time.Duration
	served   int64 // bytes that mirrors sent
	requests int
	deciding time.Duration // real time that Next took
	perBlob  []Set
	hints    []Hint
}

func (sim *simulation) run(t testing.TB) simResult {
	t.Helper()
	var connections []int
	for _, src := range sim.sources {
		connections = append(connections, src.most)
	}
	s := NewScheduler(sim.segment, sim.blobs, connections, 1)
	for b, size := range sim.blobs {
		s.Want(b, Range{0, size})
	}
	for i, h := range sim.hints {
		s.Expect(i, h)
	}
	start := time.Unix(0, 0)
	running := make([][]*simTask, len(sim.sources))
	res := simResult{perBlob: make([]Set, len(sim.blobs))}
	sinceTick := tickInterval
	for now := time.Duration(0); ; now += sim.dt {
		if now > sim.limit {
			t.Fatalf("not done after %v: %d bytes left, %d tasks, status %+v", now, s.Left(), len(s.tasks), s.Status(start.Add(now)))
		}
		at := start.Add(now)
		if sinceTick += sim.dt; sinceTick >= tickInterval {
			s.Tick(at)
			sim.check(t, s, "Tick")
			sinceTick = 0
		}
		for task := sim.next(s, at, &res); task != nil; task = sim.next(s, at, &res) {
			res.requests++
			sim.check(t, s, "Next")
			running[task.Source] = append(running[task.Source], &simTask{Task: task, openAt: now + sim.sources[task.Source].delay(task.Asked)})
			if most := cmp.Or(sim.sources[task.Source].most, DefaultConnections); len(running[task.Source]) > most {
				t.Fatalf("%d requests at once to a source that has %d connections", len(running[task.Source]), most)
			}
		}
		for i := range running {
			running[i] = sim.step(t, s, i, running[i], now, at, &res)
		}
		if s.Idle(at) {
			res.took = now
			for _, status := range s.Status(at) {
				res.hints = append(res.hints, status.Hint)
			}
			return res
		}
	}
}

func (sim *simulation) next(s *Scheduler, at time.Time, res *simResult) *Task {
	began := time.Now()
	defer func() { res.deciding += time.Since(began) }()
	return s.Next(at)
}

// step moves the tasks of source i by dt.
func (sim *simulation) step(t testing.TB, s *Scheduler, i int, tasks []*simTask, now time.Duration, at time.Time, res *simResult) []*simTask {
	src := sim.sources[i]
	active := 0
	for _, task := range tasks {
		if task.opened {
			active++
		}
	}
	left, sharers := src.rate*sim.dt.Seconds(), active
	kept := tasks[:0]
	for _, task := range tasks {
		opened, served, share := task.opened, res.served, 0.0
		if opened {
			share = left / float64(sharers) // what one leaves, the next ones have
			if src.connCap > 0 {
				share = min(share, src.connCap*sim.dt.Seconds())
			}
			if src.loss > 0 {
				share = min(share, task.window.most(src, sim.dt, sim.rng))
			}
		}
		if sim.move(t, s, src, task, active, share, now, at, res) {
			sim.check(t, s, "End")
		} else {
			kept = append(kept, task)
		}
		switch {
		case !opened && task.opened:
			active++
		case opened:
			left -= float64(res.served - served)
			sharers--
		}
	}
	return kept
}

// move moves one task, and says whether it is over.
func (sim *simulation) move(tb testing.TB, s *Scheduler, src simSource, t *simTask, active int, share float64, now time.Duration, at time.Time, res *simResult) bool {
	s.Revoked()
	if t.revoked {
		s.End(t.Task, Outcome{Kind: Done}, at)
		return true
	}
	fault := simFine
	if src.fault != nil {
		fault = src.fault(t, now)
	}
	switch {
	case fault == simStall:
		return false
	case fault == simCut:
		s.End(t.Task, Outcome{Kind: Cut}, at)
		return true
	case fault == simRefuse && !t.opened && now >= t.openAt:
		s.End(t.Task, Outcome{Kind: Busy}, at)
		return true
	case !t.opened && now < t.openAt:
		return false
	case !t.opened && sim.rejects(src, t, active, now):
		sim.rejected++
		s.End(t.Task, Outcome{Kind: Busy, After: sim.retryAfter(src, t, now)}, at)
		return true
	case !t.opened:
		t.opened = true
		useful := s.Opened(t.Task, t.Asked, at)
		sim.check(tb, s, "Opened")
		if !useful {
			s.End(t.Task, Outcome{Kind: Done}, at)
			return true
		}
		return false
	}
	t.credit += share
	n := min(int64(t.credit), t.Asked.Len()-t.got)
	t.credit -= float64(n)
	if n == 0 {
		return false
	}
	from := t.Asked.Start + t.got
	t.got += n
	res.served += n
	res.perBlob[t.Blob].Add(Range{from, from + n})
	wanted := s.Advance(t.Task, n, at)
	sim.check(tb, s, "Advance")
	if wanted == 0 {
		s.End(t.Task, Outcome{Kind: Done}, at)
		return true
	}
	return false
}

func (src simSource) delay(r Range) time.Duration {
	return src.latency + time.Duration(float64(src.perMiB)*float64(r.Len())/mib)
}

// rejects says whether a source answers a request with 429.
func (sim *simulation) rejects(src simSource, t *simTask, active int, now time.Duration) bool {
	if src.atOnce > 0 && active >= src.atOnce {
		return true
	}
	if src.budget == 0 {
		return false
	}
	if sim.spent == nil {
		sim.spent = make(map[int][]time.Duration)
	}
	recent := slices.DeleteFunc(sim.spent[t.Source], func(at time.Duration) bool { return at < now-time.Minute })
	sim.spent[t.Source] = recent
	if len(recent) >= src.budget {
		return true
	}
	sim.spent[t.Source] = append(recent, now)
	return false
}

func (sim *simulation) retryAfter(src simSource, t *simTask, now time.Duration) time.Duration {
	if src.budget == 0 {
		return 0
	}
	return sim.spent[t.Source][0] + time.Minute - now
}

func (r simResult) complete(t testing.TB, blobs []int64) {
	t.Helper()
	for b, size := range blobs {
		if got := r.perBlob[b].Len(); got != size {
			t.Errorf("blob %d: %d of %d bytes fetched", b, got, size)
		}
	}
}

// randomNetwork is so many mirrors of 64 KiB/s to 8 MiB/s with 10 to 200 ms to
// answer, and what they can give together, in bytes a second.
func randomNetwork(rng *rand.Rand, mirrors int) (sources []simSource, sum float64) {
	for range mirrors {
		rate := float64(int64(64<<10) << rng.IntN(8))
		sum += rate
		sources = append(sources, simSource{rate: rate, latency: time.Duration(10+rng.IntN(190)) * time.Millisecond})
	}
	return sources, sum
}

// randomBlobs are of all sizes, of so many bytes together.
func randomBlobs(rng *rand.Rand, total int64) (blobs []int64) {
	for left := total; left > 0; left -= blobs[len(blobs)-1] {
		blobs = append(blobs, min(left, 64<<10+rng.Int64N(total)))
	}
	return blobs
}

// TestMakespanOfRandomNetworks holds random sets of mirrors against the lower
// bound bytes / Σ rates.
func TestMakespanOfRandomNetworks(t *testing.T) {
	var ratios, waste []float64
	for _, tc := range []struct{ networks, least, most int }{{50, 2, 8}, {20, 9, 100}, {3, 101, 1000}} {
		rng := rand.New(rand.NewPCG(7, uint64(tc.most)))
		r, w := randomMakespans(t, rng, tc.networks, tc.least, tc.most)
		t.Logf("%d to %d mirrors: %s", tc.least, tc.most, spread(r, w))
		ratios, waste = append(ratios, r...), append(waste, w...)
	}
	t.Logf("all: %s", spread(ratios, waste))
	if m := quantile(ratios, 0.5); m > 1.03 {
		t.Errorf("median makespan is %.3f of the lower bound", m)
	}
	if m := quantile(ratios, 0.99); m > 1.10 {
		t.Errorf("99th percentile of the makespan is %.3f of the lower bound", m)
	}
}

// randomMakespans are the makespans over their lower bounds, and what was
// served in excess of what was needed.
func randomMakespans(t *testing.T, rng *rand.Rand, networks, least, most int) (ratios, waste []float64) {
	for range networks {
		sim := simulation{dt: 25 * time.Millisecond, limit: time.Hour, lean: most > 8}
		var sum float64
		sim.sources, sum = randomNetwork(rng, least+rng.IntN(most-least+1))
		total := int64(sum * (10 + 20*rng.Float64()))
		sim.blobs = randomBlobs(rng, total)
		res := sim.run(t)
		res.complete(t, sim.blobs)
		ratios = append(ratios, res.took.Seconds()/(float64(total)/sum))
		waste = append(waste, float64(res.served)/float64(total)-1)
	}
	return ratios, waste
}

func spread(ratios, waste []float64) string {
	return fmt.Sprintf("makespan over the lower bound: median %.3f, 99%% %.3f, worst %.3f; bytes in excess: median %.4f, worst %.4f",
		quantile(ratios, 0.5), quantile(ratios, 0.99), quantile(ratios, 1), quantile(waste, 0.5), quantile(waste, 1))
}

func quantile(x []float64, q float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[int(q*float64(len(x)-1))]
}

// BenchmarkMillionSegments fetches a million segments, and says what a request
// costs the scheduler. It should not grow with the mirrors.
func BenchmarkMillionSegments(b *testing.B) {
	const total = 1_000_000 * DefaultSegmentSize
	for _, mirrors := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("mirrors=%d", mirrors), func(b *testing.B) {
			for b.Loop() {
				sim := simulation{dt: time.Second / 10, limit: 1000 * time.Hour, blobs: []int64{total}, lean: true}
				var sum float64
				sim.sources, sum = randomNetwork(rand.New(rand.NewPCG(11, 0)), mirrors)
				for i := range sim.sources {
					sim.sources[i].rate *= 8 // a data center's, to be done sooner
				}
				res := sim.run(b)
				b.ReportMetric(float64(res.requests), "requests")
				b.ReportMetric(float64(res.deciding.Nanoseconds())/float64(res.requests), "ns/decision")
				b.ReportMetric(res.took.Seconds()/(total/sum/8), "makespan/bound")
				b.ReportMetric(float64(res.served)/total, "served/needed")
			}
		})
	}
}
