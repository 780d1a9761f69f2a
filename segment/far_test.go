package segment

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestFarLinks fetches over links with long round trips: a request that is given
// up wastes what is on its way, and its successor begins with a small window.
func TestFarLinks(t *testing.T) {
	simulates(t)
	blobs := []int64{40 * mib, 20 * mib, 4 * mib}
	for name, c := range map[string]*condition{
		"200 ms": {simulation: simulation{
			blobs: blobs, sources: []simSource{{rate: 8 * mib, rtt: ms(200)}},
		}, rate: 8 * mib, waste: 0.005, efficiency: 0.86},
		"600 ms": {simulation: simulation{
			blobs: blobs, sources: []simSource{{rate: 8 * mib, rtt: ms(600)}},
		}, rate: 8 * mib, waste: 0.001, efficiency: 0.79},
		"600 ms and losses": {simulation: simulation{
			blobs: blobs, sources: []simSource{{rate: 8 * mib, rtt: ms(600), loss: 0.0005}},
		}, rate: 8 * mib, waste: 0.004, efficiency: 0.44},
		"near and far": {simulation: simulation{
			blobs: blobs, sources: []simSource{{rate: 2 * mib, rtt: ms(20)}, {rate: 8 * mib, rtt: ms(600)}},
		}, rate: 10 * mib, waste: 0.015, efficiency: 0.65},
		"near and fast, far and slow": {simulation: simulation{
			blobs: blobs, sources: []simSource{{rate: 8 * mib, rtt: ms(20)}, {rate: mib, rtt: ms(600)}},
		}, rate: 9 * mib, waste: 0.015, efficiency: 0.88},
		"far, slow and uneven": {simulation: simulation{
			blobs: []int64{1700 * kib, 200 * kib}, sources: []simSource{{rate: 256 * kib, swing: 0.7, rtt: ms(600)}},
		}, rate: 256 * kib, waste: 0.04, efficiency: 0.85},
		"two far and uneven": {simulation: simulation{
			blobs: blobs, sources: []simSource{{rate: 4 * mib, swing: 0.7, rtt: ms(200)}, {rate: 4 * mib, swing: 0.7, rtt: ms(600)}},
		}, rate: 8 * mib, waste: 0.02, efficiency: 0.90},
		"three by satellite": {simulation: simulation{
			blobs: []int64{8 * mib, 3 * mib, mib}, sources: []simSource{
				{rate: 1200 * kib, rtt: ms(600), loss: 0.005}, {rate: 800 * kib, rtt: ms(620), loss: 0.005}, {rate: 400 * kib, rtt: ms(640), loss: 0.005},
			},
		}, rate: 2400 * kib, waste: 0.03, efficiency: 0.45},
		"lossy": {simulation: simulation{
			blobs: []int64{24 * mib, 6 * mib, 2 * mib}, sources: []simSource{{rate: 4000 * kib, rtt: ms(150), loss: 0.01}},
		}, rate: 4000 * kib, waste: 0.01, efficiency: 0.70},
		"lossy and far": {simulation: simulation{
			blobs: []int64{8 * mib, 3 * mib, mib}, sources: []simSource{
				{rate: 2500 * kib, rtt: ms(200), loss: 0.01}, {rate: 1250 * kib, rtt: ms(200), loss: 0.02}, {rate: 500 * kib, rtt: ms(200), loss: 0.03},
			},
		}, rate: 4250 * kib, waste: 0.04, efficiency: 0.65},
		"a small image": {simulation: simulation{
			blobs: []int64{6 * mib, mib, 100 * kib}, sources: []simSource{{rate: 4 * mib, rtt: ms(200)}, {rate: 8 * mib, rtt: ms(600)}},
		}, rate: 12 * mib, waste: 0.13, efficiency: 0.29},
	} {
		t.Run(name, c.meet)
	}
}

// TestRandomFarLinks fetches from one to four random sources, near and far, with
// and without losses.
func TestRandomFarLinks(t *testing.T) {
	simulates(t)
	rng := rand.New(rand.NewPCG(1, 1))
	const networks = 100
	var efficiency, unread, doubled float64
	for range networks {
		sim := simulation{dt: 10 * time.Millisecond, limit: time.Hour, lean: true}
		var sum float64
		for range 1 + rng.IntN(4) {
			src := simSource{
				rate: float64(int64(256*kib) << rng.IntN(6)), swing: 0.7 * float64(rng.IntN(2)),
				rtt: []time.Duration{ms(20), ms(200), ms(600)}[rng.IntN(3)], loss: 0.0005 * float64(rng.IntN(2)),
			}
			sum += src.rate
			sim.sources = append(sim.sources, src)
		}
		total := int64(sum * (3 + 10*rng.Float64()))
		sim.blobs = randomBlobs(rng, total)
		res := sim.run(t)
		res.complete(t, sim.blobs)
		efficiency += float64(total) / sum / res.took.Seconds() / networks
		unread += float64(res.unread) / float64(total) / networks
		doubled += (float64(res.served-res.unread)/float64(total) - 1) / networks
	}
	t.Logf("means: efficiency %.3f, %.4f of the bytes unread, %.4f twice", efficiency, unread, doubled)
	if efficiency < 0.78 {
		t.Errorf("the mean efficiency is %.3f, want 0.78", efficiency)
	}
	if excess := unread + doubled; excess > 0.0125 {
		t.Errorf("%.4f of the bytes came in excess, want 0.0125", excess)
	}
}

// TestSharedLink fetches from mirrors of which the user's own link can carry only a
// part, or all where nothing is lost. Queues that are full lose packets too.
func TestSharedLink(t *testing.T) {
	simulates(t)
	const mbit, runs = 1e6 / 8, 16
	for name, tc := range map[string]struct {
		link       simLink
		sources    []simSource
		rate       float64
		efficiency float64 // mean, at least
		waste      float64 // mean, at most
	}{
		"at home": {simLink{rate: 50 * mbit, queue: ms(100)}, []simSource{
			{rate: 40 * mbit, rtt: ms(40)}, {rate: 20 * mbit, rtt: ms(50)}, {rate: 8 * mbit, rtt: ms(70)},
		}, 50 * mbit, 0.785, 0.039},
		"in a hotel": {simLink{rate: 6 * mbit, queue: ms(500)}, []simSource{
			{rate: 20 * mbit, rtt: ms(100), loss: 0.02}, {rate: 10 * mbit, rtt: ms(130), loss: 0.02}, {rate: 4 * mbit, rtt: ms(170), loss: 0.02},
		}, 6 * mbit, 0.91, 0.02},
		"beyond a border": {simLink{rate: 50 * mbit, queue: ms(100)}, []simSource{
			{rate: 20 * mbit, rtt: ms(200), loss: 0.01}, {rate: 10 * mbit, rtt: ms(200), loss: 0.02}, {rate: 4 * mbit, rtt: ms(200), loss: 0.03},
		}, 34 * mbit, 0.68, 0.03},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 12 * mib
			var efficiency, waste float64
			for seed := range uint64(runs) {
				sim := simulation{
					dt: ms(5), limit: time.Hour, lean: true, rng: rand.New(rand.NewPCG(seed, 7)),
					blobs: []int64{8 * mib, 3 * mib, mib}, link: tc.link, sources: tc.sources,
				}
				res := sim.run(t)
				res.complete(t, sim.blobs)
				efficiency += size / tc.rate / res.took.Seconds() / runs
				waste += (float64(res.served)/size - 1) / runs
			}
			t.Logf("means: efficiency %.3f, waste %.4f", efficiency, waste)
			if efficiency < tc.efficiency {
				t.Errorf("efficiency %.3f, want %.3f", efficiency, tc.efficiency)
			}
			if waste > tc.waste {
				t.Errorf("waste %.4f, want %.4f", waste, tc.waste)
			}
		})
	}
}
