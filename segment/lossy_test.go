package segment

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLossyLink holds the scheduler against a long and lossy link, on which a
// connection brings a thirtieth of what the link can. Its slow start, before
// the first losses, may not pass for what it brings.
func TestLossyLink(t *testing.T) {
	simulates(t)
	const size, rate, runs = 32 * mib, 4e6, 20
	var efficiency, waste []float64
	for seed := range uint64(runs) {
		sim := simulation{
			dt: 5 * time.Millisecond, limit: time.Hour, lean: true, blobs: []int64{24 * mib, 6 * mib, 2 * mib},
			sources: []simSource{{rate: rate, latency: 150 * time.Millisecond, loss: 0.01}},
			rng:     rand.New(rand.NewPCG(seed, 1)),
		}
		res := sim.run(t)
		res.complete(t, sim.blobs)
		efficiency = append(efficiency, size/rate/res.took.Seconds())
		waste = append(waste, float64(res.served)/size-1)
	}
	t.Logf("efficiency: median %.3f, least %.3f; bytes in excess: median %.4f, most %.4f",
		quantile(efficiency, 0.5), quantile(efficiency, 0), quantile(waste, 0.5), quantile(waste, 1))
	if m := quantile(efficiency, 0.5); m < 0.71 {
		t.Errorf("median efficiency is %.3f, want 0.71", m)
	}
	if m := quantile(waste, 1); m > 0.02 {
		t.Errorf("%.4f of the bytes came in excess", m)
	}
}
