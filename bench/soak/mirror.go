package soak

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// role is what can be expected of a mirror.
type role string

const (
	honest  role = "honest"  // serves the truth about every blob, however badly
	useless role = "useless" // serves nothing that can be used, or not all
	liar    role = "liar"    // sends wrong bytes
)

// mirror is a mirror of a round.
type mirror struct {
	name string
	role role
	rate int64 // bytes a second of all connections; 0: no limit
	// connection is what each connection gets; 0: all of it.
	connection int64
	faults     []rt.Fault
	kinds      []string // of the faults
	told       []string // the same with particulars
	whole      bool     // it answers ranges with whole blobs
	cuts       bool     // it never brings a large blob in one response
	lacks      []digest.Digest

	user, password string        // that it asks for; "": none
	secret         string        // header that it is sent
	redirects      time.Duration // how long its addresses of blobs at a CDN hold; 0: it has none
	outage         time.Duration // how long it is dead now and then; 0: never
}

func (m *mirror) suffers(kind, told string, fault rt.Fault) {
	m.kinds = append(m.kinds, kind)
	m.told = append(m.told, strings.TrimSpace(kind+" "+told))
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
	for _, told := range m.told {
		fmt.Fprintf(&b, "; %s", told)
	}
	if m.outage > 0 {
		fmt.Fprintf(&b, "; dead for %s now and then", m.outage)
	}
	if m.redirects > 0 {
		fmt.Fprintf(&b, "; redirects to a CDN, for %s", m.redirects)
	}
	if len(m.lacks) > 0 {
		fmt.Fprintf(&b, "; lacks %.19s", m.lacks)
	}
	return b.String()
}

// drawMirror makes a mirror of this role, with faults of its own.
func drawMirror(d dice, name string, r role) *mirror {
	m := &mirror{name: name, role: r}
	if d.chance(0.7) {
		m.rate = d.size(mib, 24*mib)
	}
	if d.chance(0.2) {
		m.connection = d.size(mib/2, 4*mib)
	}
	if d.chance(0.2) {
		m.secret = fmt.Sprintf("header-%016x", d.Uint64())
	}
	m.drawAuth(d)
	if d.chance(0.2) {
		m.redirects = d.span(time.Second, time.Minute)
	}
	switch r {
	case honest:
		m.drawIlls(d, d.IntN(4))
	case useless:
		m.drawIlls(d, d.IntN(2))
		m.drawFatal(d)
	case liar:
		m.drawIlls(d, d.IntN(3))
	}
	d.Shuffle(len(m.faults), func(a, b int) { m.faults[a], m.faults[b] = m.faults[b], m.faults[a] })
	if !m.whole && d.chance(0.1) { // one that starts anew after each might never send a blob
		m.outage = d.span(50*time.Millisecond, 2*time.Second)
	}
	return m
}

// drawAuth has it ask who is there.
func (m *mirror) drawAuth(d dice) {
	if d.chance(0.6) {
		return
	}
	auth := rt.Auth{Lifetime: d.span(2*time.Second, 5*time.Minute)}
	if d.chance(0.3) {
		m.suffers("tokens for everyone", fmt.Sprintf("for %s", auth.Lifetime), rt.Bearer(auth))
		return
	}
	m.user, m.password = "user-"+m.name, fmt.Sprintf("password-%016x", d.Uint64())
	auth.Username, auth.Password = m.user, m.password
	if d.chance(0.5) {
		m.suffers("tokens for a password", fmt.Sprintf("for %s", auth.Lifetime), rt.Bearer(auth))
	} else {
		m.suffers("passwords", "", rt.Basic(m.user, m.password))
	}
}

// drawIlls gives it faults with which it still serves every blob: those that
// it would not survive hit now and then, and not for ever.
func (m *mirror) drawIlls(d dice, n int) {
	for range n {
		i := pick(d, ills...)
		if i.harm == fatal || i.whole && m.cuts || i.cuts && m.whole {
			continue
		}
		m.whole, m.cuts = m.whole || i.whole, m.cuts || i.cuts
		told, fault := i.draw(d)
		if i.harm == grave {
			p, times := 0.02+0.2*d.Float64(), d.among(1, 8)
			told, fault = fmt.Sprintf("%s (%.0f %% of requests, at most %d)", told, 100*p, times), fault.Sometimes(p).Times(times)
		}
		m.suffers(i.name, told, fault)
	}
}

// drawFatal gives it a fault with which it is of no use.
func (m *mirror) drawFatal(d dice) {
	for {
		i := pick(d, ills...)
		if i.harm == slight {
			continue
		}
		told, fault := i.draw(d)
		if d.chance(0.3) {
			told, fault = told+" (all requests)", fault.On()
		}
		m.suffers(i.name, told, fault)
		return
	}
}

// drawLie has it lie about one blob, or about all of them.
func (m *mirror) drawLie(d dice, victim rt.Blob) {
	start := d.Int64N(victim.Size)
	end := min(victim.Size, start+d.size(1, victim.Size))
	what := fmt.Sprintf("bytes %d to %d of %.19s", start, end, victim.Digest)
	switch d.IntN(5) {
	case 0:
		m.suffers("flipped bytes", what, rt.Flip(start, end).Of(victim.Digest))
	case 1:
		p := 0.1 + 0.8*d.Float64()
		m.suffers("bytes flipped at times", fmt.Sprintf("%s (%.0f %%)", what, 100*p), rt.Flip(start, end).Of(victim.Digest).Sometimes(p))
	case 2:
		m.suffers("garbage", "for "+what, rt.Garbage(start, end).Of(victim.Digest))
	case 3:
		m.suffers("another blob", fmt.Sprintf("for %.19s", victim.Digest), rt.Impostor(rt.RandomBlob(d.Uint64(), victim.Size)).Of(victim.Digest))
	default:
		m.suffers("flipped bytes", fmt.Sprintf("%d to %d of all", start, end), rt.Flip(start, end))
	}
}

// lieAt has it lie about one byte of a blob always, and so that no two such
// mirrors are right about it between them.
func (m *mirror) lieAt(d dice, victim rt.Blob, at int64) {
	start, end := at-d.Int64N(at+1), at+1+d.Int64N(victim.Size-at)
	m.suffers("flipped bytes", fmt.Sprintf("%d to %d of %.19s", start, end, victim.Digest), rt.Flip(start, end).Of(victim.Digest))
}
