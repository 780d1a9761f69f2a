// Package upstream has the sources of all images that a call pulls, or a server serves, and
// what these share: rate limits, what is known of the sources, which of them sent wrong bytes.
//
//	reference ─→ Mirrors.Set ─→ Warm: connections for the blobs
//	                         ─→ Fetcher: manifests and configs, from the cache and the bucket first
//	                         ─→ Transfer: the options of a transfer of blobs
//
// Server is the same for package serve.
package upstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/transfer"
	"github.com/segpull/segpull/verify"
)

// Options say which sources there are, and how they are used.
type Options struct {
	// New returns the sources for images, and warnings about them.
	New func(images sources.Images) (*sources.Set, []error, error)
	// Scope is what New depends on of the images: those with the same scope share a set.
	Scope func(images sources.Images) string
	// MostSets is how many sets there may be. 0: any number.
	MostSets int

	Cache  *cache.Cache  // has manifests and configs, and gets them; nil: none
	Bucket *bucket.Store // behind the cache; nil: none

	Limits      *segment.Limits
	Connections int           // at the most to one source; 0: segment.DefaultConnections
	SegmentSize int64         // bytes; 0: 4 MiB
	GiveUpAfter time.Duration // without a byte from any source
	NoRace      bool          // as transfer.Options.NoRace
	HistoryFile string        // of what sources were like before; "": none
	ExcludeFor  time.Duration // as verify.Corrupt.ExcludeFor

	Report Report
}

// Report has the functions that receive what happens. They may be called from many
// goroutines; only Waiting, Request and Corrupt may be nil.
type Report struct {
	Warn    func(message string)
	Trouble func(source string, err error) // a request failed, and is made again or elsewhere
	Request func(transfer.Request)         // a request has ended
	Corrupt func(verify.Finding)           // a source sent wrong bytes; Warn says so as well
	Suspect func(source, message string)   // a source is not used until a blob is verified
	// Waiting: these sources were asked for an image, and no source has answered.
	Waiting func(ref image.Reference, sources []string)
	// Stalled: no source has sent a byte of an image for so long.
	Stalled func(ref image.Reference, silent time.Duration, reasons []error)
}

// Mirrors has the sources. It is safe for concurrent use. Close it.
type Mirrors struct {
	opts    Options
	corrupt verify.Corrupt

	mu   sync.Mutex // guards what follows
	sets map[string]*sources.Set
}

// New prepares sources. It makes no request.
func New(opts Options) *Mirrors {
	return &Mirrors{opts: opts, sets: make(map[string]*sources.Set), corrupt: verify.Corrupt{ExcludeFor: opts.ExcludeFor}}
}

// Close closes the idle connections.
func (m *Mirrors) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, set := range m.sets {
		set.Close()
	}
}

// Corrupt returns the names of the sources that are excluded because they sent wrong bytes.
func (m *Mirrors) Corrupt() []string { return m.corrupt.Names() }

// History returns what the sources were like before.
func (m *Mirrors) History() sources.History { return sources.LoadHistory(m.opts.HistoryFile) }

// Images returns what sources depend on of a reference.
func Images(ref image.Reference) sources.Images {
	return sources.Images{Registry: ref.Registry, Repository: ref.Repository, ByDigest: ref.Digest != ""}
}

// Set returns the sources for a reference, and reports the warnings about them. The error is
// that of Options.New, or says that there are too many sets.
func (m *Mirrors) Set(ref image.Reference) (*sources.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	images := Images(ref)
	scope := m.opts.Scope(images)
	if set := m.sets[scope]; set != nil {
		return set, nil
	}
	if most := m.opts.MostSets; most > 0 && len(m.sets) >= most {
		return nil, fmt.Errorf("images of %d registries were asked for, and %s would be another: restart the server to serve it", most, ref.Registry)
	}
	set, problems, err := m.opts.New(images)
	if err != nil {
		return nil, err
	}
	for _, problem := range problems {
		m.opts.Report.Warn(problem.Error())
	}
	report := m.opts.Report
	set.Trouble, set.Warn, set.Stalled = report.Trouble, report.Warn, report.Stalled
	if report.Waiting != nil {
		set.Waiting = report.Waiting
	}
	set.Silent = m.silent
	set.Recall(m.History())
	set.GiveUpAfter = m.opts.GiveUpAfter
	set.SetWindow(m.opts.Limits.Window())
	m.sets[scope] = set
	return set, nil
}

// silent records a source that has not answered which image a tag names, for all sets.
func (m *Mirrors) silent(source string, at time.Time) {
	h := sources.History{source: {Silent: at}}
	_ = h.Save(m.opts.HistoryFile) // it only helps the next pull
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, set := range m.sets {
		set.Recall(h)
	}
}

// Warm opens connections for the blobs of ref while it is resolved: as many as were
// worth having the last time, and no more than the transfer will start with.
func (m *Mirrors) Warm(ctx context.Context, set *sources.Set, ref image.Reference) {
	history, all := m.History(), set.Sources()
	set.Warm(ctx, ref, func(src *sources.Source) sources.Start {
		record := history[src.Name()]
		own := m.opts.Limits.Mirror(src.Name(), src.LimitRate())
		return sources.Start{
			Connections: max(segment.FirstConnections, record.Connections),
			Most:        min(transfer.MostConnections(m.opts.Connections, src, len(all)), segment.AtFirst(m.opts.Limits.All(), own, len(all))),
			Token:       record.Burst == 0, // else it counts requests
		}
	})
}

// Transfer returns what all transfers of blobs of a reference's repository have.
func (m *Mirrors) Transfer(set *sources.Set, ref image.Reference) transfer.Options {
	limiters := make(map[string]*segment.Limiter)
	for _, src := range set.Sources() {
		limiters[src.Name()] = m.opts.Limits.Mirror(src.Name(), src.LimitRate())
	}
	report := m.opts.Report
	opts := transfer.Options{
		Repository:  ref.Repository,
		Sources:     set.Sources(),
		History:     m.History(),
		Limiter:     m.opts.Limits.All(),
		Limiters:    limiters,
		Connections: m.opts.Connections,
		SegmentSize: m.opts.SegmentSize,
		GiveUpAfter: m.opts.GiveUpAfter,
		NoRace:      m.opts.NoRace,
		Corrupt:     &m.corrupt,
		Report: transfer.Report{
			Search:  verify.Report{Corrupt: m.found, Suspect: report.Suspect, Warn: report.Warn},
			Trouble: report.Trouble,
			Request: report.Request,
			Stalled: func(silent time.Duration, reasons []error) { report.Stalled(ref, silent, reasons) },
		},
	}
	if m.opts.Bucket != nil {
		opts.Shared = m.opts.Bucket
	}
	return opts
}

// found reports a source that sent wrong bytes.
func (m *Mirrors) found(f verify.Finding) {
	if m.opts.Report.Corrupt != nil {
		m.opts.Report.Corrupt(f)
	}
	use := "is not used any more"
	switch {
	case f.Excluded && f.ExcludedFor > 0:
		use = fmt.Sprintf("is not used for %v", f.ExcludedFor)
	case !f.Excluded:
		use = "stays in use only because no other source has the right ones"
	}
	if b := m.opts.Bucket; b != nil && f.Source == b.Name() {
		b.Wrong(digest.Digest(f.Blob))
		m.opts.Report.Warn(fmt.Sprintf("%s returned wrong bytes and %s: %s; segpull replaces or deletes the object", f.Source, use, f.Proof))
		return
	}
	m.opts.Report.Warn(fmt.Sprintf("%s serves wrong bytes and %s: %s; remove it from the mirrors, or report this to its operator", f.Source, use, f.Proof))
}
