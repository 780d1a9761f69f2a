package lab

import (
	"time"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// Run is the result of one tool on one case.
type Run struct {
	Case       string        `json:"case"`
	Tool       string        `json:"tool"`
	Wall       float64       `json:"seconds"`
	Bound      float64       `json:"bound_seconds"`
	Efficiency float64       `json:"efficiency"` // bound divided by wall; 0 if the tool failed
	Needed     int64         `json:"needed_bytes"`
	Served     int64         `json:"served_bytes"`
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

// Waste is what was served beyond the need, as a share of it; 0 for real
// servers, which do not count.
func (r Run) Waste() float64 {
	if r.Served == 0 {
		return 0
	}
	return float64(r.Served-r.Needed) / float64(r.Needed)
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

func newRun(c Case, t Tool, u program.Usage, needed int64, mirrors []server) Run {
	bound := c.Bound(needed)
	run := Run{
		Case: c.Name, Tool: t.Name,
		Wall: u.Wall.Seconds(), Bound: bound.Seconds(), Needed: needed,
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
