package segment

import "time"

// growth finds how many connections to a source are worth having: it doubles
// them while that brings clearly more, and goes back when it does not. Lossy
// links and servers that cap a connection want many; others gain nothing by
// more than a few, and are left in peace.
type growth struct {
	warm    time.Time // when the connections will have left their slow start; zero: not counting
	since   time.Time // of the period under measurement; zero before it
	own     int64     // bytes served by the source before the period
	all     int64     // bytes served by all sources before it
	before  int       // connections before the last step; 0: no step to judge
	ownRate float64   // bytes a second of the source before the last step
	allRate float64   // bytes a second of all sources before the last step
	resting time.Time // no step before this
	rests   int
}

const (
	// growthPeriod is the least time over which a number of connections is
	// judged; it is longer where answers take long.
	growthPeriod = 400 * time.Millisecond
	// mostWait bounds what is waited for a slow start, and the period.
	mostWait = 1500 * time.Millisecond
	// enoughGain is the part of the hoped-for gain that makes a step worth it.
	enoughGain = 0.3
	firstRest  = 3 * time.Second
	mostRest   = 4 * time.Minute
)

// step judges the present number of connections once a period is over, and
// returns the number to go on with. all is what all sources have served; busy
// says whether the source uses as many connections as it may, to the full.
func (g *growth) step(src *source, all int64, now time.Time, busy bool) int {
	wait := min(4*src.latencyOr(100*time.Millisecond), mostWait)
	switch {
	case !busy || now.Before(g.resting):
		g.warm, g.since = time.Time{}, time.Time{}
	case g.warm.IsZero():
		g.warm = now.Add(wait)
	case now.Before(g.warm):
	case g.since.IsZero():
		g.since, g.own, g.all = now, src.served, all
	case now.Sub(g.since) >= max(growthPeriod, wait):
		want := g.judge(src, all, now)
		g.warm, g.since = time.Time{}, time.Time{}
		return want
	}
	return src.want
}

// judge compares the period that is over with the one before it. A gain that
// comes out of the pocket of other sources, since all of them share one link,
// is none.
func (g *growth) judge(src *source, all int64, now time.Time) int {
	elapsed := now.Sub(g.since).Seconds()
	own, total := float64(src.served-g.own)/elapsed, float64(all-g.all)/elapsed
	if g.before > 0 {
		hoped := g.ownRate * (float64(src.want)/float64(g.before) - 1)
		if own-g.ownRate < enoughGain*hoped || total-g.allRate < enoughGain*hoped/2 {
			back := g.before
			g.hold(now)
			return back
		}
	}
	if src.want == src.most {
		g.hold(now)
		return src.want
	}
	g.before, g.ownRate, g.allRate = src.want, own, total
	return min(2*src.want, src.most)
}

// hold stays with a number of connections for a while, longer each time.
func (g *growth) hold(now time.Time) {
	g.resting = now.Add(min(firstRest<<min(g.rests, 10), mostRest))
	g.rests++
	g.before = 0
}
