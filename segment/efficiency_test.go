package segment

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestEfficiency holds the scheduler against the networks that it is made for.
// Efficiency is the time that the mirrors' rates would allow over the time
// that it took; waste is what mirrors served beyond the need.
func TestEfficiency(t *testing.T) {
	simulates(t)
	const kib = 1 << 10
	rng := rand.New(rand.NewPCG(3, 3))
	dies := func(tk *simTask, _ time.Duration) simFault {
		if tk.got > 3*mib/2+int64(tk.asked.Start%(mib/2)) {
			return simCut
		}
		if !tk.opened && tk.got == 0 && rng.Float64() < 0.0005 { // asked at each step
			return simCut
		}
		return simFine
	}
	stalls := func(tk *simTask, _ time.Duration) simFault {
		if tk.got > 500*kib {
			return simStall
		}
		return simFine
	}
	pauses := func(tk *simTask, now time.Duration) simFault {
		if tk.opened && now < tk.openAt+2240*time.Millisecond {
			return simStall
		}
		return simFine
	}
	for name, tc := range map[string]struct {
		sources    []simSource
		rate       float64 // what they can give together, bytes a second
		size       int64
		efficiency float64 // at least
		waste      float64 // at most
	}{
		"three uneven mirrors": {[]simSource{
			{rate: 2 * mib, latency: 20 * time.Millisecond}, {rate: 4 * mib, latency: 40 * time.Millisecond}, {rate: 6 * mib, latency: 60 * time.Millisecond},
		}, 12 * mib, 93 * mib, 0.97, 0.02},
		"two, one of them slow": {[]simSource{
			{rate: 8 * mib, latency: 40 * time.Millisecond}, {rate: 128 * kib, latency: 60 * time.Millisecond},
		}, 8.125 * mib, 93 * mib, 0.97, 0.02},
		"connections that die": {[]simSource{
			{rate: 4 * mib, latency: 30 * time.Millisecond, fault: dies}, {rate: 4 * mib, latency: 30 * time.Millisecond, fault: dies},
		}, 8 * mib, 93 * mib, 0.93, 0.02},
		"one good, one that stalls, one that trickles": {[]simSource{
			{rate: 4 * mib, latency: 30 * time.Millisecond}, {rate: 4 * mib, latency: 30 * time.Millisecond, fault: stalls}, {rate: 16 * kib, latency: 30 * time.Millisecond},
		}, 4 * mib, 93 * mib, 0.93, 0.05},
		"each connection capped": {[]simSource{
			{rate: 10 * mib, connCap: 512 * kib, latency: 40 * time.Millisecond},
		}, 10 * mib, 93 * mib, 0.918, 0.02},
		"two connections allowed": {[]simSource{
			{rate: 4 * mib, latency: 30 * time.Millisecond, atOnce: 2},
		}, 4 * mib, 93 * mib, 0.90, 0.02},
		"a second for each MiB asked for, ten at once": {[]simSource{
			{rate: 100 * mib, latency: 30 * time.Millisecond, atOnce: 10, perMiB: time.Second},
		}, 10 * mib, 200 * mib, 1.28, 0.04},
		"twenty requests a minute": {[]simSource{
			{rate: 4 * mib, latency: 30 * time.Millisecond, budget: 20},
		}, 4 * mib, 600 * mib, 0.66, 0.02},
		"a pause in each body": {[]simSource{
			{rate: 19 * mib, latency: 30 * time.Millisecond, fault: pauses},
		}, 19 * mib, 93 * mib, 0.278, 0.02},
		"small image": {[]simSource{
			{rate: 2 * mib, latency: 40 * time.Millisecond}, {rate: 2 * mib, latency: 40 * time.Millisecond},
		}, 4 * mib, 8 * mib, 0.85, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simulation{dt: 5 * time.Millisecond, limit: time.Hour, sources: tc.sources, blobs: []int64{tc.size}}
			res := sim.run(t)
			res.complete(t, sim.blobs)
			efficiency := float64(tc.size) / tc.rate / res.took.Seconds()
			waste := float64(res.served)/float64(tc.size) - 1
			t.Logf("efficiency %.3f in %v, waste %.4f, %d requests, %d of them rejected", efficiency, res.took, waste, res.requests, sim.rejected)
			if sim.rejected > 20 {
				t.Errorf("%d requests were rejected", sim.rejected)
			}
			if efficiency < tc.efficiency {
				t.Errorf("efficiency %.3f, want %.3f", efficiency, tc.efficiency)
			}
			if waste > tc.waste {
				t.Errorf("waste %.3f, want %.3f", waste, tc.waste)
			}
		})
	}
}
