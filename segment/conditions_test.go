package segment

import (
	"slices"
	"testing"
	"time"
)

const kib = 1 << 10

// condition is a network with what the scheduler has to make of it.
type condition struct {
	simulation
	rate       float64 // what can come at most, bytes a second
	efficiency float64 // at least
	waste      float64 // at most, of all bytes
	requests   int     // at most; 0: any number
	perMost    int     // requests at once to a source, at the most; 0: any number
	rejected   int     // at most
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func repeat(n int, size int64) []int64 { return slices.Repeat([]int64{size}, n) }

// hangs stops the first connection that brings the last bytes.
func hangs(t *simTask, _ time.Duration) simFault {
	if t.asked.End == 32*mib && t.openAt < 8500*time.Millisecond && t.got > 16*kib {
		return simStall
	}
	return simFine
}

// changes stops all connections of the first ten seconds.
func changes(t *simTask, now time.Duration) simFault {
	if t.openAt < 10*time.Second && now > 10*time.Second {
		return simStall
	}
	return simFine
}

// breaksOff ends each answer after 2 MiB.
func breaksOff(t *simTask, _ time.Duration) simFault {
	if t.got > 2*mib {
		return simCut
	}
	return simFine
}

// silent answers nothing.
func silent(*simTask, time.Duration) simFault { return simStall }

func busy(*simTask, time.Duration) simFault { return simBusy }

// conditions are small networks, each of which needs a rule or two.
func conditions() map[string]*condition {
	return map[string]*condition{
		"small layers far away": {simulation: simulation{
			blobs: repeat(10, 8*kib), sources: []simSource{{rate: 4 * mib, latency: ms(200)}},
		}, rate: 200 * kib, waste: 0.02, efficiency: 0.90},
		"a hundred small layers": {simulation: simulation{
			blobs: repeat(100, 32*kib), sources: []simSource{{rate: 100 * mib, latency: ms(200)}},
		}, rate: 4 * mib, waste: 0.02, efficiency: 0.50},
		"slow start": {simulation: simulation{
			blobs: []int64{40 * mib}, sources: []simSource{{rate: 8 * mib, latency: ms(100), slowStart: true}},
		}, rate: 8 * mib, waste: 0.02, efficiency: 0.835},
		"slow start and uneven": {simulation: simulation{
			blobs: []int64{64 * mib, 20 * mib, 8 * mib}, sources: []simSource{
				{rate: 6 * mib, latency: ms(20), slowStart: true}, {rate: 4 * mib, latency: ms(60), slowStart: true}, {rate: 2 * mib, latency: ms(150), slowStart: true},
			},
		}, rate: 12 * mib, waste: 0.02, efficiency: 0.93},
		"rates that swing": {simulation: simulation{
			blobs: []int64{93 * mib}, sources: []simSource{
				{rate: 4 * mib, swing: 0.7, latency: ms(40)}, {rate: 4 * mib, swing: 0.7, latency: ms(40)}, {rate: 2 * mib, swing: 0.7, latency: ms(40)},
			},
		}, rate: 10 * mib, waste: 0.02, efficiency: 0.93, requests: 230},
		"jitter": {simulation: simulation{
			blobs: []int64{64 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(50), jitter: ms(800)}, {rate: 4 * mib, latency: ms(50), jitter: ms(800)}},
		}, rate: 8 * mib, waste: 0.02, efficiency: 0.89},
		"a cache that fills": {simulation: simulation{
			blobs: []int64{4 * mib, 8 * mib, 20 * mib, 64 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(40)}, {rate: 4 * mib, latency: ms(40), fills: true}},
		}, rate: 8 * mib, waste: 0.01, efficiency: 0.98, requests: 80},
		"a cache that fills and answers first": {simulation: simulation{
			blobs: []int64{4 * mib, 8 * mib, 20 * mib, 64 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(60)}, {rate: 4 * mib, latency: ms(40), fills: true}},
		}, rate: 8 * mib, waste: 0.01, efficiency: 0.98},
		"whole blobs beside silence": {simulation: simulation{
			blobs: repeat(8, 8*mib), sources: []simSource{{rate: 4 * mib, connCap: mib, latency: ms(40), whole: true}, {rate: 4 * mib, latency: ms(40), fault: silent}},
		}, rate: 4 * mib, waste: 0.01, efficiency: 0.95, requests: 12},
		"small whole blobs beside silence": {simulation: simulation{
			blobs: repeat(3, 3*mib), sources: []simSource{{rate: 4 * mib, latency: ms(40), whole: true}, {rate: 4 * mib, latency: ms(40), fault: silent}},
		}, rate: 4 * mib, waste: 0.01, efficiency: 0.95},
		"a slow stream beside ranges": {simulation: simulation{
			blobs: repeat(6, 4*mib), sources: []simSource{{rate: 64 * kib, latency: ms(10), whole: true}, {rate: 4 * mib, latency: ms(200)}},
		}, rate: 4 * mib, waste: 0.01, efficiency: 0.95, requests: 60},
		"a stream as fast as ranges": {simulation: simulation{
			blobs: repeat(6, 4*mib), sources: []simSource{{rate: 4 * mib, latency: ms(10), whole: true}, {rate: 4 * mib, latency: ms(20)}},
		}, rate: 8 * mib, waste: 0.08, efficiency: 0.90, requests: 40},
		"a fast stream beside ranges": {simulation: simulation{
			blobs: []int64{20 * mib}, sources: []simSource{{rate: 16 * mib, latency: ms(10), whole: true}, {rate: 4 * mib, latency: ms(20)}},
		}, rate: 16 * mib, waste: 0.20, efficiency: 0.95},
		"whole blobs beside ranges": {simulation: simulation{
			blobs: []int64{20 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(40), whole: true}, {rate: mib, latency: ms(40)}},
		}, rate: 5 * mib, waste: 0.15, efficiency: 0.85},
		"whole blobs that break off": {simulation: simulation{
			blobs: []int64{40 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(40), whole: true, fault: breaksOff}, {rate: mib, latency: ms(40)}},
		}, rate: mib, waste: 0.50, efficiency: 0.95, requests: 100},
		"a common limit": {simulation: simulation{
			blobs: []int64{20 * mib}, limitRate: mib, sources: []simSource{{rate: 8 * mib, latency: ms(40)}, {rate: 8 * mib, latency: ms(40)}},
		}, rate: mib, waste: 0.001, efficiency: 0.97, perMost: FirstConnections},
		"a slow sink": {simulation: simulation{
			blobs: []int64{60 * mib}, sinkRate: 2 * mib, sources: []simSource{{rate: 8 * mib, latency: ms(400)}},
		}, rate: 2 * mib, waste: 0.01, efficiency: 0.95, perMost: FirstConnections},
		"three far apart": {simulation: simulation{
			blobs: []int64{20 * mib}, sources: []simSource{{rate: 8 * mib, latency: ms(20)}, {rate: mib, latency: ms(400)}, {rate: 64 * kib, latency: ms(800)}},
		}, rate: 9 * mib, waste: 0.02, efficiency: 0.90},
		"a connection that hangs at the end": {simulation: simulation{
			blobs: []int64{32 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(40), fault: hangs}},
		}, rate: 4 * mib, waste: 0.03, efficiency: 0.80},
		"a trickle in a small image": {simulation: simulation{
			blobs: []int64{64 * kib, 2 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(40)}, {rate: 8 * kib, latency: ms(10)}},
		}, rate: 4 * mib, waste: 0.15, efficiency: 0.50},
		"a network that changes": {simulation: simulation{
			blobs: []int64{93 * mib}, sources: []simSource{{rate: 4 * mib, latency: ms(40), fault: changes}},
		}, rate: 4 * mib, waste: 0.01, efficiency: 0.40, requests: 200},
		"a source that is always busy": {simulation: simulation{
			blobs: []int64{60 * mib}, sources: []simSource{{rate: 256 * kib, latency: ms(40)}, {rate: 4 * mib, latency: ms(40), fault: busy}},
		}, rate: 256 * kib, waste: 0.01, efficiency: 0.95, requests: 220},
	}
}

func TestConditions(t *testing.T) {
	simulates(t)
	for name, c := range conditions() {
		t.Run(name, c.meet)
	}
}

// meet runs the simulation and compares it with what c expects.
func (c *condition) meet(t *testing.T) {
	c.dt, c.simulation.limit = ms(5), 2*time.Hour
	res := c.run(t)
	res.complete(t, c.blobs)
	var size float64
	for _, blob := range c.blobs {
		size += float64(blob)
	}
	efficiency, waste := size/c.rate/res.took.Seconds(), float64(res.served)/size-1
	perMost := slices.Max(res.perMost)
	t.Logf("efficiency %.3f in %v, waste %.4f, %d bytes unread, %d requests, %d at once, %d rejected", efficiency, res.took, waste, res.unread, res.requests, perMost, c.simulation.rejected)
	if efficiency < c.efficiency {
		t.Errorf("efficiency %.3f, want %.3f", efficiency, c.efficiency)
	}
	if waste > c.waste {
		t.Errorf("waste %.4f, want %.4f", waste, c.waste)
	}
	if c.requests > 0 && res.requests > c.requests {
		t.Errorf("%d requests, want %d", res.requests, c.requests)
	}
	if c.perMost > 0 && perMost > c.perMost {
		t.Errorf("%d requests at once, want %d", perMost, c.perMost)
	}
	if c.simulation.rejected > c.rejected {
		t.Errorf("%d requests were rejected, want %d", c.simulation.rejected, c.rejected)
	}
}
