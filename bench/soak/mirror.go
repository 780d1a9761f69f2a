package soak

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// role is what a pull can expect from a mirror.
type role string

const (
	correct role = "correct" // serves the right bytes of every blob, however badly
	useless role = "useless" // serves nothing usable, or not all
	corrupt role = "corrupt" // sends wrong bytes
)

// mirror is a mirror of a round.
type mirror struct {
	name string
	role role
	rate int64 // bytes a second of all connections; 0: no limit
	// connection is the rate of each connection; 0: all of rate.
	connection int64
	faults     []rt.Fault
	kinds      []string // of the faults
	details    []string // the same with details
	whole      bool     // it answers ranges with whole blobs
	cuts       bool     // it never sends a large blob in one response
	lacks      []digest.Digest

	user, password string        // that it requires; "": none
	secret         string        // header that segpull sends it
	redirects      time.Duration // how long its redirects to a CDN are valid; 0: it does not redirect
	outage         time.Duration // how long it is repeatedly dead; 0: never
}

func (m *mirror) addFault(kind, details string, fault rt.Fault) {
	m.kinds = append(m.kinds, kind)
	m.details = append(m.details, strings.TrimSpace(kind+" "+details))
	m.faults = append(m.faults, fault)
}

func (m *mirror) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", m.name, m.role)
	if m.rate > 0 {
		fmt.Fprintf(&b, ", %s/s", inMiB(m.rate))
	}
	if m.connection > 0 {
		fmt.Fprintf(&b, ", %s/s for each connection", inMiB(m.connection))
	}
	for _, details := range m.details {
		fmt.Fprintf(&b, "; %s", details)
	}
	if m.outage > 0 {
		fmt.Fprintf(&b, "; repeatedly dead for %s", m.outage)
	}
	if m.redirects > 0 {
		fmt.Fprintf(&b, "; redirects to a CDN, for %s", m.redirects)
	}
	if len(m.lacks) > 0 {
		fmt.Fprintf(&b, "; lacks %.19s", m.lacks)
	}
	return b.String()
}

// drawMirror makes a mirror of this role, with random faults.
func drawMirror(rnd random, name string, r role) *mirror {
	m := &mirror{name: name, role: r}
	if rnd.chance(0.7) {
		m.rate = rnd.size(mib, 24*mib)
	}
	if rnd.chance(0.2) {
		m.connection = rnd.size(mib/2, 4*mib)
	}
	if rnd.chance(0.2) {
		m.secret = fmt.Sprintf("header-%016x", rnd.Uint64())
	}
	m.drawAuth(rnd)
	if rnd.chance(0.2) {
		m.redirects = rnd.duration(time.Second, time.Minute)
	}
	switch r {
	case correct:
		m.drawFaults(rnd, rnd.IntN(4))
	case useless:
		m.drawFaults(rnd, rnd.IntN(2))
		m.drawSevere(rnd)
	case corrupt:
		m.drawFaults(rnd, rnd.IntN(3))
	}
	rnd.Shuffle(len(m.faults), func(a, b int) { m.faults[a], m.faults[b] = m.faults[b], m.faults[a] })
	if !m.whole && rnd.chance(0.1) { // one that restarts blobs after each outage might never finish one
		m.outage = rnd.duration(50*time.Millisecond, 2*time.Second)
	}
	return m
}

// drawAuth sometimes makes the mirror require a login or a token.
func (m *mirror) drawAuth(rnd random) {
	if rnd.chance(0.6) {
		return
	}
	auth := rt.Auth{Lifetime: rnd.duration(2*time.Second, 5*time.Minute)}
	if rnd.chance(0.3) {
		m.addFault("tokens for everyone", fmt.Sprintf("for %s", auth.Lifetime), rt.Bearer(auth))
		return
	}
	m.user, m.password = "user-"+m.name, fmt.Sprintf("password-%016x", rnd.Uint64())
	auth.Username, auth.Password = m.user, m.password
	if rnd.chance(0.5) {
		m.addFault("tokens for a password", fmt.Sprintf("for %s", auth.Lifetime), rt.Bearer(auth))
	} else {
		m.addFault("passwords", "", rt.Basic(m.user, m.password))
	}
}

// drawFaults adds faults with which the mirror still serves every blob. Severe
// ones hit only some requests, and only a few times.
func (m *mirror) drawFaults(rnd random, n int) {
	for range n {
		i := pick(rnd, faultKinds...)
		if i.severity == total || i.whole && m.cuts || i.cuts && m.whole {
			continue
		}
		m.whole, m.cuts = m.whole || i.whole, m.cuts || i.cuts
		details, fault := i.draw(rnd)
		if i.severity == severe {
			p, times := 0.02+0.2*rnd.Float64(), rnd.between(1, 8)
			details, fault = fmt.Sprintf("%s (%.0f %% of requests, at most %d)", details, 100*p, times), fault.Sometimes(p).Times(times)
		}
		m.addFault(i.name, details, fault)
	}
}

// drawSevere adds a fault with which the mirror is useless.
func (m *mirror) drawSevere(rnd random) {
	for {
		i := pick(rnd, faultKinds...)
		if i.severity == mild {
			continue
		}
		details, fault := i.draw(rnd)
		if rnd.chance(0.3) {
			details, fault = details+" (all requests)", fault.On()
		}
		m.addFault(i.name, details, fault)
		return
	}
}

// drawCorruption adds wrong bytes of the target, or of all blobs.
func (m *mirror) drawCorruption(rnd random, target rt.Blob) {
	start := rnd.Int64N(target.Size)
	end := min(target.Size, start+rnd.size(1, target.Size))
	what := fmt.Sprintf("bytes %d to %d of %.19s", start, end, target.Digest)
	switch rnd.IntN(5) {
	case 0:
		m.addFault("flipped bytes", what, rt.Flip(start, end).Of(target.Digest))
	case 1:
		p := 0.1 + 0.8*rnd.Float64()
		m.addFault("bytes flipped sometimes", fmt.Sprintf("%s (%.0f %%)", what, 100*p), rt.Flip(start, end).Of(target.Digest).Sometimes(p))
	case 2:
		m.addFault("garbage", "for "+what, rt.Garbage(start, end).Of(target.Digest))
	case 3:
		m.addFault("another blob", fmt.Sprintf("for %.19s", target.Digest), rt.Impostor(rt.RandomBlob(rnd.Uint64(), target.Size)).Of(target.Digest))
	default:
		m.addFault("flipped bytes", fmt.Sprintf("%d to %d of all", start, end), rt.Flip(start, end))
	}
}

// corruptAt adds wrong bytes around one byte of a blob, in every answer. Several
// such mirrors together never serve that byte right.
func (m *mirror) corruptAt(rnd random, target rt.Blob, at int64) {
	start, end := at-rnd.Int64N(at+1), at+1+rnd.Int64N(target.Size-at)
	m.addFault("flipped bytes", fmt.Sprintf("%d to %d of %.19s", start, end, target.Digest), rt.Flip(start, end).Of(target.Digest))
}
