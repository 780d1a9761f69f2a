package segment

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A link with a round trip: a new connection takes a handshake and then begins
// with a small window, which doubles with each round trip (RFC 5681, RFC 6928).
// What a source has sent is on its way for half a round trip, and it takes half
// of one more until the source notices that nobody reads its answer any more:
// the link carries these bytes, and nobody uses them.

const (
	packetSize    = 1448
	firstWindow   = 10 // packets
	handshakes    = 2  // round trips: of TCP and of TLS
	lossTimeout   = 400 * time.Millisecond
	lossByTimeout = 0.15                   // of the losses; the others are noticed at once
	windowKept    = 200 * time.Millisecond // and a round trip: how long an idle connection keeps its window
)

// simConn is a connection to a source.
type simConn struct {
	packets float64 // of the window; 0: not begun
	lossy   bool    // there was a loss
	silent  time.Duration
	idle    time.Duration // when its last answer was complete
}

// most is how many bytes the window lets through in dt. It doubles in each
// round trip until the first loss or until it fills the link, from then on grows
// by a packet, and falls by 0.3 with each loss, as CUBIC's does.
func (c *simConn) most(src simSource, link *simLink, dt time.Duration, rng *rand.Rand) float64 {
	if c.packets == 0 {
		c.packets = firstWindow
	}
	if c.silent > 0 {
		c.silent -= dt
		return 0
	}
	trip := src.trip() + link.wait()
	trips := dt.Seconds() / trip.Seconds()
	sent := c.packets * trips
	switch {
	case rng.Float64() < 1-math.Pow(1-src.loss-link.drops, sent):
		c.lossy = true
		c.packets = max(2, 0.7*c.packets)
		if rng.Float64() < lossByTimeout {
			c.packets, c.silent = 2, lossTimeout
		}
	case c.lossy:
		c.packets += trips
	default:
		full := src.rate * trip.Seconds() / packetSize
		c.packets = max(c.packets, min(c.packets*math.Exp2(trips), full))
	}
	return sent * packetSize
}

// trip is how long a round trip to the source takes.
func (src simSource) trip() time.Duration {
	if src.rtt > 0 {
		return src.rtt
	}
	return src.latency
}

// dial returns a connection to source i, and how long it takes to open it: the
// connection that was used last, or else a new one.
func (sim *simulation) dial(i int) (*simConn, time.Duration) {
	rtt, pool := sim.sources[i].rtt, sim.pools[i]
	if len(pool) == 0 {
		return &simConn{}, handshakes * rtt
	}
	c := pool[len(pool)-1]
	sim.pools[i] = pool[:len(pool)-1]
	if sim.now-c.idle > windowKept+rtt {
		c.packets = 0
	}
	return c, 0
}

// warm opens connections to source i while the image is resolved, so that its first
// requests need no handshake: more of them to a source that is far away, by the formula of
// internal/registry.
func (sim *simulation) warm(i int) {
	src := sim.sources[i]
	if src.rtt == 0 {
		return
	}
	n := min(DefaultConnections, max(FirstConnections, int(min(3*mib*src.rtt.Seconds(), 960*kib)/float64(len(sim.sources))/(firstWindow*packetSize))))
	for range n {
		sim.pools[i] = append(sim.pools[i], &simConn{})
	}
	sim.s.warm(i, n, src.rtt)
}

// hangUp ends the use of t's connection: another request can use it if its
// answer is complete, else it is closed, which the source notices after a round
// trip.
func (sim *simulation) hangUp(t *simTask, why outcomeKind) {
	if sim.sources[t.source].rtt == 0 || why == outcomeCut {
		return
	}
	if why != outcomeDone || t.opened && t.got == t.body.Len() {
		t.conn.idle = sim.now
		sim.pools[t.source] = append(sim.pools[t.source], t.conn)
		return
	}
	if !t.opened {
		t.body = t.asked
	}
	t.closedAt = sim.now
	sim.closed[t.source] = append(sim.closed[t.source], t)
}

// drain moves what closed connections of source i still carry, beside so many
// open ones, and returns what that leaves to these of the bytes that the source
// can send.
func (sim *simulation) drain(i int, left float64, open int) float64 {
	src := sim.sources[i]
	sim.closed[i] = slices.DeleteFunc(sim.closed[i], func(t *simTask) bool {
		return sim.now >= t.closedAt+src.rtt || t.got == t.body.Len()
	})
	sharers := open + len(sim.closed[i])
	for _, t := range sim.closed[i] {
		if sim.now >= t.openAt {
			n := sim.take(t, sim.share(src, t, left/float64(sharers)))
			left -= float64(n)
			sim.res.unread += n
		}
		sharers--
	}
	return left
}

// simLink is the user's own link, which all connections share: what it cannot
// carry waits in its queue, and is lost where that is full.
type simLink struct {
	rate  float64       // bytes a second; 0: any
	queue time.Duration // the longest wait

	waiting float64 // bytes in the queue
	offered float64 // bytes in the present step
	passes  float64 // part of what is offered that the link carries
	drops   float64 // part of the packets that find the queue full
}

// step ends a step of dt.
func (l *simLink) step(dt time.Duration) {
	l.passes, l.drops = 1, 0
	if l.rate == 0 || l.offered == 0 {
		return
	}
	carried := l.rate * dt.Seconds()
	most := l.rate * l.queue.Seconds()
	l.passes = min(1, carried/l.offered)
	l.waiting = max(0, l.waiting+l.offered-carried)
	if l.waiting > most {
		l.drops = min(0.5, (l.waiting-most)/l.offered)
		l.waiting = most
	}
	l.offered = 0
}

// carry returns how many of so many bytes arrive in the present step.
func (l *simLink) carry(bytes float64) float64 {
	l.offered += bytes
	return bytes * l.passes
}

// wait is how long a byte waits in the queue.
func (l *simLink) wait() time.Duration {
	if l.rate == 0 {
		return 0
	}
	return time.Duration(l.waiting / l.rate * float64(time.Second))
}
