package segment

import (
	"math"
	"time"
)

// meterWindow is how far back a meter remembers: long enough to smooth a
// lossy link, short enough to notice within seconds that a mirror changed.
const meterWindow = 3 * time.Second

// samples is how many samples count for an average.
const samples = 5

// meter is an exponentially weighted rate of bytes, unbiased from its first
// sample on. The zero meter measures nothing yet.
type meter struct {
	weighted float64 // Σ bytes·e^(-age/window)
	start    time.Time
	last     time.Time
}

// add counts n bytes that arrived by now.
func (m *meter) add(n int64, now time.Time) {
	m.begin(now)
	m.weighted = m.weighted*m.decay(now) + float64(n)
	m.last = now
}

// begin starts the clock, if it does not run yet.
func (m *meter) begin(now time.Time) {
	if m.start.IsZero() {
		m.start, m.last = now, now
	}
}

// rate is the bytes a second at now; 0 when nothing was measured. Silence
// lowers it.
func (m *meter) rate(now time.Time) float64 {
	age, window := now.Sub(m.start), meterWindow.Seconds()
	if m.start.IsZero() || age < time.Millisecond {
		return 0
	}
	// What a window that has not been filled yet would hold of a constant rate.
	filled := window * (1 - math.Exp(-age.Seconds()/window))
	return m.weighted * m.decay(now) / filled
}

func (m *meter) decay(now time.Time) float64 {
	if !now.After(m.last) {
		return 1
	}
	return math.Exp(-now.Sub(m.last).Seconds() / meterWindow.Seconds())
}

// average is an exponentially weighted mean of the last samples. The zero
// average has no value yet.
type average struct {
	value float64
	known bool
}

func (a *average) add(x float64) {
	if !a.known {
		a.value, a.known = x, true
		return
	}
	a.value += (x - a.value) / samples
}
