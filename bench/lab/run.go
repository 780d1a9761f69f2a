package lab

import (
	"time"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/weaknet"
	"github.com/segpull/segpull/internal/registrytest"
)

// Run is the result of one tool on one case.
type Run struct {
	Case       string        `json:"case"`
	Tool       string        `json:"tool"`
	Turn       int           `json:"turn"` // of Lab.Turns, from 0 on
	Wall       float64       `json:"seconds"`
	Bound      float64       `json:"bound_seconds"`
	Efficiency float64       `json:"efficiency"` // bound divided by wall; 0 if the tool failed
	Needed     int64         `json:"needed_bytes"`
	Served     int64         `json:"served_bytes"`   // of blobs, as servers handed them to their kernels
	Wire       int64         `json:"wire_bytes"`     // of TCP's payload, as the user's link forwarded them
	Repeated   int64         `json:"repeated_bytes"` // of it that the link forwarded again; not in Wire
	CPU        float64       `json:"cpu_seconds"`
	Peak       int64         `json:"peak_memory_bytes"`
	Exit       int           `json:"exit"`
	Error      string        `json:"error,omitempty"`
	Mirrors    []MirrorStats `json:"mirrors,omitempty"`

	Started time.Time `json:"-"`
	Samples []Sample  `json:"-"`
}

// MirrorStats is what one mirror did in a run.
type MirrorStats struct {
	Name       string `json:"name"`
	Rate       int64  `json:"rate"` // bytes a second that it could serve
	Served     int64  `json:"served_bytes"`
	Requests   int    `json:"blob_requests"`
	Refused    int    `json:"refused"` // with status 429
	Concurrent int    `json:"concurrent"`

	Log []registrytest.Request `json:"-"`
}

// ServedBeyond is what servers handed to their kernels beyond the need, as a
// share of it. That includes what stayed in the buffers of connections that the
// tool closed. It is false for real servers, which do not count.
func (r Run) ServedBeyond() (share float64, counted bool) { return r.beyond(r.Served) }

// WireBeyond is what the user's link forwarded beyond the need, as a share of
// it: also manifests, tokens, and the headers of HTTP and TLS. It is false on
// loopback, which has no links.
func (r Run) WireBeyond() (share float64, counted bool) { return r.beyond(r.Wire) }

// Waste is WireBeyond, or on loopback ServedBeyond; 0 if neither was counted.
func (r Run) Waste() float64 {
	if share, counted := r.WireBeyond(); counted {
		return share
	}
	share, _ := r.ServedBeyond()
	return share
}

func (r Run) beyond(bytes int64) (share float64, counted bool) {
	if bytes == 0 {
		return 0, false
	}
	return float64(bytes-r.Needed) / float64(r.Needed), true
}

// Failed reports whether the tool failed.
func (r Run) Failed() bool { return r.Error != "" }

// Requests is how many blobs, or parts of blobs, the tool asked for.
func (r Run) Requests() (n int) {
	for _, m := range r.Mirrors {
		n += m.Requests
	}
	return n
}

// Refused is how many requests were answered with status 429.
func (r Run) Refused() (n int) {
	for _, m := range r.Mirrors {
		n += m.Refused
	}
	return n
}

func newRun(c Case, t Tool, u program.Usage, needed int64, wire weaknet.Traffic, mirrors []server) Run {
	bound := c.Bound(needed)
	run := Run{
		Case: c.Name, Tool: t.Name,
		Wall: u.Wall.Seconds(), Bound: bound.Seconds(), Needed: needed, Wire: wire.Payload, Repeated: wire.Repeated,
		CPU: u.CPU.Seconds(), Peak: u.Peak, Exit: u.Exit, Error: u.Err,
	}
	if u.Err == "" && bound > 0 {
		run.Efficiency = run.Bound / run.Wall
	}
	for _, m := range mirrors {
		if m.reg == nil {
			continue
		}
		stats := m.reg.Stats()
		run.Served += stats.Bytes
		run.Mirrors = append(run.Mirrors, MirrorStats{
			Name: m.Name, Rate: m.Rate, Served: stats.Bytes,
			Requests: stats.Requests[registrytest.KindBlob], Refused: stats.Statuses[429],
			Concurrent: stats.Concurrent, Log: stats.Log,
		})
	}
	return run
}
