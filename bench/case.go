package main

import (
	"math"
	"time"

	"github.com/segpull/segpull/bench/weaknet"
	"github.com/segpull/segpull/internal/registrytest"
)

// Case is a network, the mirrors on it, an image, and what segpull is to reach
// there.
type Case struct {
	Name    string
	About   string
	Layers  []int64 // sizes in bytes
	Mirrors []Mirror
	// Server is the real one behind the mirrors: dockerRegistry, or cdn. "": a
	// registrytest server, which alone plays rates and faults on loopback.
	Server string
	// TCP puts the mirrors into namespaces behind real links. Else they are
	// throttled on loopback.
	TCP bool
	// Link is the user's own, with TCP.
	Link weaknet.Link
	// RoundTrips that the protocol needs at the least are part of the bound:
	// those to the nearest mirror.
	RoundTrips int
	Goal       Goal
}

const (
	dockerRegistry = "docker-registry"
	cdn            = "docker-registry, blobs from nginx with TLS"
)

// Goal is what segpull is to reach. Zero values are no goals.
type Goal struct {
	Efficiency float64 // at least
	Waste      float64 // at most: bytes served beyond the need, as a share of it
	Refused    int     // at most: answers with status 429. 0: no goal
	// Beats is how many times faster than aria2c.
	Beats float64
}

// Mirror is one of a case's mirrors.
type Mirror struct {
	Name   string
	Rate   int64 // bytes a second. 0: no limit
	RTT    time.Duration
	Jitter time.Duration // with TCP
	Loss   float64       // with TCP
	// Connection is the most that one connection gets, in bytes a second. 0:
	// all of Rate.
	Connection int64
	// Faults are made anew for each run, since they count.
	Faults func() []registrytest.Fault
	// HangsAfter is when it stops in the middle of what it sends and never
	// answers again. 0: never.
	HangsAfter time.Duration
	// Useless mirrors count for nothing in the bound.
	Useless bool
}

// bound is the least time that the case's network allows; 0 where the machine
// alone limits.
func (c Case) bound(size int64) time.Duration {
	var supplies []supply
	nearest := time.Duration(math.MaxInt64)
	for _, m := range c.Mirrors {
		if !m.Useless {
			supplies = append(supplies, supply{m.Rate, m.HangsAfter})
			nearest = min(nearest, m.RTT)
		}
	}
	if len(supplies) == 0 || supplies[0].rate == 0 {
		return 0 // nothing limits but the machine
	}
	return time.Duration(c.RoundTrips)*nearest + lowerBound(size, c.Link.Down, supplies)
}

// link is the mirror's link in a weaknet.
func (m Mirror) link() weaknet.Link {
	return weaknet.Link{Up: m.Rate, Delay: m.RTT / 2, Jitter: m.Jitter, Loss: m.Loss}
}

// prepare makes a server behave as this mirror does. On loopback it plays the
// link as well.
func (m Mirror) prepare(reg *registrytest.Server, tcp bool) {
	var faults []registrytest.Fault
	if m.Faults != nil {
		faults = m.Faults()
	}
	if !tcp {
		faults = append(faults, registrytest.Latency(m.RTT))
		reg.Throttle(m.Rate)
	}
	reg.ThrottleConnections(m.Connection)
	reg.Misbehave(faults...)
}
