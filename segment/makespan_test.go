package segment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

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
	simulates(t)
	var networks []*randomPull
	for _, tc := range []struct{ networks, least, most int }{{50, 2, 8}, {20, 9, 100}, {3, 101, 300}} {
		rng := rand.New(rand.NewPCG(7, uint64(tc.most)))
		for range tc.networks {
			networks = append(networks, newRandomPull(rng, tc.least+rng.IntN(tc.most-tc.least+1)))
		}
	}
	t.Run("networks", func(t *testing.T) {
		for _, n := range networks {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				n.run(t)
			})
		}
	})
	var ratios, waste []float64
	for _, n := range networks {
		ratios, waste = append(ratios, n.ratio), append(waste, n.waste)
	}
	t.Log(spread(ratios, waste))
	if m := quantile(ratios, 0.5); m > 1.0175 {
		t.Errorf("median makespan is %.3f of the lower bound", m)
	}
	if m := quantile(ratios, 1); m > 1.05 {
		t.Errorf("the longest makespan is %.3f of the lower bound", m)
	}
	if m := quantile(ratios, 0.99); m > 1.045 {
		t.Errorf("99th percentile of the makespan is %.3f of the lower bound", m)
	}
}

// randomPull fetches random blobs from random mirrors.
type randomPull struct {
	sim   simulation
	sum   float64 // bytes a second of all mirrors
	total int64   // bytes of all blobs
	ratio float64 // makespan over its lower bound
	waste float64 // served in excess of what was needed
}

func newRandomPull(rng *rand.Rand, mirrors int) *randomPull {
	p := &randomPull{sim: simulation{dt: 25 * time.Millisecond, limit: time.Hour, lean: true}}
	p.sim.sources, p.sum = randomNetwork(rng, mirrors)
	p.total = int64(p.sum * (10 + 20*rng.Float64()))
	p.sim.blobs = randomBlobs(rng, p.total)
	return p
}

func (p *randomPull) run(t *testing.T) {
	res := p.sim.run(t)
	res.complete(t, p.sim.blobs)
	p.ratio = res.took.Seconds() / (float64(p.total) / p.sum)
	p.waste = float64(res.served)/float64(p.total) - 1
}

func spread(ratios, waste []float64) string {
	return fmt.Sprintf("makespan over the lower bound: median %.3f, 99%% %.3f, worst %.3f; bytes in excess: median %.4f, worst %.4f",
		quantile(ratios, 0.5), quantile(ratios, 0.99), quantile(ratios, 1), quantile(waste, 0.5), quantile(waste, 1))
}

func quantile(x []float64, q float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[int(q*float64(len(x)-1))]
}

// BenchmarkMillionSegments fetches a million segments, and reports what a
// request costs the scheduler. That should not grow with the mirrors.
func BenchmarkMillionSegments(b *testing.B) {
	const total = 1_000_000 * defaultSegmentSize
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
