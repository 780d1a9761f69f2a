package lab

import (
	"time"

	"github.com/segpull/segpull/bench/weaknet"
	"github.com/segpull/segpull/internal/registrytest"
)

// Case is a network, the mirrors on it, an image, and what segpull has to reach
// there.
type Case struct {
	Name    string
	About   string
	Layers  []int64 // sizes in bytes
	Mirrors []Mirror
	// Server is the real server behind the mirrors: dockerRegistry, or cdn.
	// "": a registrytest server. Only that one simulates rates and faults on
	// loopback.
	Server string
	// TCP puts the mirrors into network namespaces behind simulated links.
	// Without it they are throttled on loopback.
	TCP bool
	// Secure mirrors, which are registrytest servers, have TLS 1.3 and ask for a
	// token, which is given out at another address.
	Secure bool
	// Sync adds to each tool's time that of an fsync of what it wrote.
	Sync bool
	// Link is the user's own, with TCP.
	Link weaknet.Link
	// RoundTrips is how many the protocol needs at least. The bound includes
	// them, to the nearest mirror.
	RoundTrips int
	Goal       Goal
}

const (
	dockerRegistry = "docker-registry"
	cdn            = "docker-registry, blobs from nginx with TLS"
)

// Goal is what segpull has to reach. A zero value is no goal.
type Goal struct {
	Efficiency float64  // at least
	Waste      float64  // at most: Run.Waste
	Refused    int      // at most: answers with status 429
	Rivals     []string // tools that run before segpull in each turn
	Share      float64  // at most: the time, as a share of that of the fastest rival
}

// OfRun says whether there is a goal for a run by itself.
func (g Goal) OfRun() bool { return g.Efficiency > 0 || g.Waste > 0 || g.Refused > 0 }

// None says whether there is no goal.
func (g Goal) None() bool { return !g.OfRun() && len(g.Rivals) == 0 }

// Mirror is one of a case's mirrors.
type Mirror struct {
	Name   string
	Rate   int64 // bytes a second; 0: no limit
	RTT    time.Duration
	Jitter time.Duration // with TCP
	Loss   float64       // with TCP
	// Connection is the most that one connection gets, in bytes a second. 0:
	// all of Rate.
	Connection int64
	// Faults makes the faults of one run; they count requests, so each run
	// needs its own.
	Faults func() []registrytest.Fault
	// Ration limits its requests. The zero value is no limit.
	Ration Ration
	// HangsAfter is when the mirror stops in the middle of its answers and
	// never answers again. 0: never.
	HangsAfter time.Duration
	// Useless mirrors do not count in the bound.
	Useless bool
}

// Bound is the least time in which size bytes, and as many requests as there are
// blobs and a manifest, can be answered; 0 if only the machine limits it.
func (c Case) Bound(size int64) time.Duration {
	supplies, nearest := c.supplies(), forever
	for _, m := range c.Mirrors {
		if !m.Useless {
			nearest = min(nearest, m.RTT)
		}
	}
	if len(supplies) == 0 || supplies[0].rate == 0 {
		return 0
	}
	return time.Duration(c.RoundTrips)*nearest + max(lowerBound(size, c.Link.Down, supplies), c.ration().wait(len(c.Layers)+2))
}

// ration is that of all mirrors together; zero if one of them has none.
func (c Case) ration() (sum Ration) {
	for _, m := range c.Mirrors {
		switch {
		case m.Useless:
		case m.Ration == (Ration{}):
			return Ration{}
		default:
			sum.Burst += m.Ration.Burst
			sum.PerMinute += m.Ration.PerMinute
		}
	}
	return sum
}

// RateAt is how many bytes a second the mirrors can serve together just after a
// moment of the pull.
func (c Case) RateAt(now time.Duration) int64 { return rateAt(now, c.Link.Down, c.supplies()) }

func (c Case) supplies() (all []supply) {
	for _, m := range c.Mirrors {
		if !m.Useless {
			all = append(all, supply{m.Rate, m.HangsAfter})
		}
	}
	return all
}

// link is the mirror's link in a weaknet.
func (m Mirror) link() weaknet.Link {
	return weaknet.Link{Up: m.Rate, Delay: m.RTT / 2, Jitter: m.Jitter, Loss: m.Loss}
}

// prepare sets a server to behave as this mirror does, with more faults before
// its own. On loopback it simulates the link as well.
func (m Mirror) prepare(reg *registrytest.Server, tcp bool, faults ...registrytest.Fault) {
	if m.Ration != (Ration{}) {
		faults = append(faults, m.Ration.fault())
	}
	if m.Faults != nil {
		faults = append(faults, m.Faults()...)
	}
	if !tcp {
		faults = append(faults, registrytest.Latency(m.RTT))
		reg.Throttle(m.Rate)
	}
	reg.ThrottleConnections(m.Connection)
	reg.Misbehave(faults...)
}
