package segment

import (
	"math"
	"time"
)

// growth finds how many connections to a source are worth having: it multiplies
// them while that brings clearly more, and goes back when it does not. Lossy
// links and servers that cap a connection want many; others gain nothing by
// more than a few.
type growth struct {
	warm      time.Time     // when the connections will have left their slow start; zero: not counting
	since     time.Time     // of the period under measurement; zero before it
	own       int64         // bytes served by the source before the period
	all       int64         // bytes served by all sources before it
	before    int           // connections before the last step; 0: no step to judge
	granted   int           // requests that the source had answered before the last step
	used      int           // connections in the period
	doubted   bool          // the last step has brought no gain once
	ownRate   float64       // bytes a second of the source before the last step
	allRate   float64       // bytes a second of all sources before the last step
	peakRate  float64       // bytes a second of the source in its best period
	scales    bool          // the last step was kept
	stayUntil time.Time     // when the next step may be tried
	stayed    time.Duration // the last stay; 0: none so far
}

const (
	// someGain is by how much twice the connections have to raise the rate for
	// these to be kept, and twice as many to be tried next. It is low, since a
	// connection's first second is often its best: on a lossy link the first
	// losses are still to come.
	someGain = 1.05
	// clearLoss is how far a rate has to fall for the first step to prove
	// nothing, since the rate before was measured before the first losses, and
	// for a stay to end early: a lossy link may need more after its first
	// seconds.
	clearLoss = 0.9
)

// step judges the present number of connections once a period is over, and
// returns the next number. all is what all sources have served; busy reports
// whether the source fully uses all connections that it may.
func (g *growth) step(src *source, all int64, now time.Time, busy bool) int {
	wait := min(margin*src.latencyOr(tickInterval), many*usualGap)
	if src.far() {
		wait /= margin
	}
	switch {
	case !busy || now.Before(g.stayUntil) && src.meter.rate(now) > g.peakRate*clearLoss:
		g.warm, g.since = time.Time{}, time.Time{}
	case g.warm.IsZero():
		g.warm = now.Add(wait)
	case now.Before(g.warm):
	case g.since.IsZero():
		g.measure(src, all, now)
	case now.Sub(g.since) >= max(many*tickInterval, wait):
		elapsed := now.Sub(g.since).Seconds()
		own, total := float64(src.served-g.own)/elapsed, float64(all-g.all)/elapsed
		if src.far() && g.rises(own) {
			g.measure(src, all, now)
			return src.target
		}
		want := g.judge(src, own, total, now)
		g.warm, g.since = time.Time{}, time.Time{}
		return want
	}
	return src.target
}

// measure begins a period.
func (g *growth) measure(src *source, all int64, now time.Time) {
	g.since, g.own, g.all, g.used = now, src.served, all, src.load()
}

// rises reports whether the rate of the source, now own, still rises without a step,
// as after a slow start.
func (g *growth) rises(own float64) bool {
	if g.before > 0 || own <= someGain*g.ownRate {
		return false
	}
	g.ownRate = own
	return true
}

// judge compares the period that is over with the one before the last step. own and
// total are the bytes a second of the source and of all sources in it.
func (g *growth) judge(src *source, own, total float64, now time.Time) int {
	g.peakRate = max(g.peakRate, own)
	switch gain := g.gain(own, total); {
	case own < clearLoss*g.ownRate && !g.scales && g.stayed == 0:
		return g.grow(src, own, total)
	case gain < someGain && !g.doubted:
		g.doubted = true // losses may have hit this one period
		return src.target
	case gain < someGain:
		back := min(g.before, src.target)
		g.peakRate = own
		g.stay(now)
		return back
	case src.target == src.most:
		g.scales = g.scales || g.before > 0
		g.stay(now)
		return src.target
	}
	return g.grow(src, own, total)
}

// gain is by how much twice the connections have raised the rate in the last
// step. It is 0 where the other sources have lost half of that.
func (g *growth) gain(own, total float64) float64 {
	switch {
	case g.before == 0:
		return math.Inf(1)
	case total-g.allRate < (own-g.ownRate)/margin:
		return 0
	}
	return math.Pow(own/g.ownRate, 1/math.Log2(float64(g.used)/float64(g.before)))
}

// grow takes the next step.
func (g *growth) grow(src *source, own, total float64) int {
	g.doubted = false
	g.scales = g.before > 0
	g.before, g.ownRate, g.allRate, g.granted = g.used, own, total, src.ration.granted
	return min(2*src.target, src.most)
}

// opened is how many connections may be open when the source has answered so many
// requests: a source that counts requests would refuse all that the first step adds. So
// half of them come at once, and two with each answer, unless the source has answered
// many before.
func (g *growth) opened(granted int) int {
	if g.before == 0 || g.scales || granted >= margin*g.before {
		return math.MaxInt
	}
	return g.before + g.before/margin + margin*(granted-g.granted)
}

// longest is how long a request should take at most: not long while a step is
// judged, so that the connection is soon free.
func (g *growth) longest() time.Duration {
	if g.before > 0 {
		return moment
	}
	return longRequest
}

// stay keeps a number of connections for a while, longer each time.
func (g *growth) stay(now time.Time) {
	g.stayed = max(margin*moment, 2*g.stayed)
	g.stayUntil = now.Add(g.stayed)
	g.before, g.doubted = 0, false
}
