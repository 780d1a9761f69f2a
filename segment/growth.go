package segment

import "time"

// growth finds how many connections to a source are worth having: it doubles
// them while that brings clearly more, and goes back when it does not. Lossy
// links and servers that cap a connection want many; others gain nothing by
// more than a few, and are left in peace.
type growth struct {
	since   time.Time // of the period under measurement
	bytes   int64     // served before it
	before  int       // connections before the last step
	rate    float64   // bytes a second with them
	resting time.Time // no step before this
	rests   int
}

const (
	// growthPeriod is the time over which a number of connections is judged.
	growthPeriod = time.Second
	// enoughGain is the part of the hoped-for gain that makes a step worth it.
	enoughGain = 0.3
	firstRest  = 15 * time.Second
	mostRest   = 4 * time.Minute
)

// step judges the present number of connections once a period is over, and
// returns the number to go on with. busy says whether the source has as many
// connections as it may.
func (g *growth) step(src *source, now time.Time, busy bool) int {
	if !busy || now.Before(g.resting) {
		g.since = time.Time{}
		return src.want
	}
	if g.since.IsZero() {
		g.since, g.bytes = g.warm(src, now), src.served
		return src.want
	}
	if now.Before(g.since) {
		g.bytes = src.served
		return src.want
	}
	elapsed := now.Sub(g.since)
	if elapsed < growthPeriod {
		return src.want
	}
	rate := float64(src.served-g.bytes) / elapsed.Seconds()
	return g.judge(src, rate, now)
}

// warm is when new connections have left their slow start behind.
func (g *growth) warm(src *source, now time.Time) time.Time {
	return now.Add(4 * src.latencyOr(50*time.Millisecond))
}

func (g *growth) judge(src *source, rate float64, now time.Time) int {
	g.since = time.Time{}
	if g.before > 0 {
		hoped := float64(src.want)/float64(g.before) - 1
		if rate < g.rate*(1+enoughGain*hoped) {
			back := g.before
			g.hold(now)
			return back
		}
	}
	if src.want == src.most {
		g.hold(now)
		return src.want
	}
	g.before, g.rate = src.want, rate
	return min(2*src.want, src.most)
}

// hold stays with a number of connections for a while, longer each time.
func (g *growth) hold(now time.Time) {
	g.resting = now.Add(min(firstRest<<min(g.rests, 10), mostRest))
	g.rests++
	g.before = 0
}
