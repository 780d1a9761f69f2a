package transfer

import (
	"slices"
	"time"

	"github.com/segpull/segpull/sources"
)

// SourceStatus is the state of one source.
type SourceStatus struct {
	Name        string
	Bytes       int64   // served in this transfer
	Rate        float64 // bytes a second
	Connections int     // open now
	State       string  // "active", "waiting", "cooling", "probing" or "off"
	Failure     error   // the last one of a request; nil: none failed
	Shared      bool    // it is Options.Shared
}

// Sources returns the state of each source, in the order of Options.Sources, and then of
// Options.Shared.
func (t *Transfer) Sources() []SourceStatus {
	all := make([]SourceStatus, len(t.sources))
	for i, s := range t.fetch.Status() {
		src := t.sources[i]
		all[i] = SourceStatus{
			Name: src.Name(), Bytes: src.served.Load(), Rate: s.Rate, Connections: s.Connections, State: s.State,
			Failure: src.lastFailure(), Shared: src.mirror == nil,
		}
	}
	return all
}

// Hashed is the length of the longest prefix of a blob that has been hashed, in
// bytes. It never falls, also if a repaired blob is hashed again.
func (t *Transfer) Hashed(blob int) int64 { return t.search.Hashed(blob) }

// History returns what the transfer learned about the sources that served at
// least 4 MiB, and about corrupt ones: a later transfer starts faster with it
// as its Options.History.
func (t *Transfer) History() sources.History {
	const enough = 4 << 20
	history := make(sources.History)
	corrupt := t.opts.Corrupt.Names()
	for i, s := range t.fetch.Status() {
		name := t.sources[i].Name()
		var h sources.Record
		if s.Served >= enough {
			h = sources.Record{Connections: s.Hint.Connections, Rate: s.Hint.Rate, Burst: s.Hint.Burst, PerMinute: s.Hint.PerMinute, Seen: time.Now()}
		}
		if slices.Contains(corrupt, name) {
			h.Corrupt = time.Now()
		}
		if h != (sources.Record{}) {
			history[name] = h
		}
	}
	return history
}
