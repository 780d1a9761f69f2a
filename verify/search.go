package verify

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/segpull/segpull/segment"
)

// Origin is a mirror as the search asks it. Its methods may be called from many
// goroutines.
type Origin interface {
	// Name is what runs of a blob and messages call it. No two have the same.
	Name() string
	// ReadRanges fetches ranges of a blob from this source alone, and passes
	// their bytes to write, one call at a time, in any order, each byte once.
	// blob is the index that Search.Add returned. The error is that of write, a
	// *segment.GiveUpError if the source is not done within the budget, a
	// *segment.HopelessError if it will not send the bytes, or the cause of ctx.
	ReadRanges(ctx context.Context, blob int, ranges []segment.Range, budget segment.Budget, write func(off int64, p []byte) error) error
	// Served is how many bytes it has served so far.
	Served() int64
	// WholeOnly reports whether it answers a request for a range with the whole
	// blob.
	WholeOnly() bool
	// Spare reports whether it is likely to answer a request that no blob needs:
	// some sources answer only so many in a period.
	Spare() bool
	// LimitTime is how long the rate limits take for so many of its bytes; 0 if
	// there are none.
	LimitTime(bytes int64) time.Duration
}

// Blob is a blob on disk. Its methods may be called from many goroutines.
type Blob interface {
	Content
	// Digest is "sha256:" and 64 hexadecimal digits in lower case.
	Digest() string
	// Size is in bytes.
	Size() int64
	// Prefix is how many bytes from the first one on have arrived.
	Prefix() int64
	// Runs are the bytes that have arrived, in ascending order.
	Runs() []Run
	// Replace writes bytes of a source over those at off. source is an index
	// into Options.Sources.
	Replace(off int64, p []byte, source int) error
	// Forget discards the bytes of r.
	Forget(r segment.Range) error
}

// Run is bytes of a blob that one source served.
type Run struct {
	segment.Range
	Source string // its name, also if it served them in an earlier pull
}

// Scheduler fetches the blobs. It knows a blob by the index that Search.Add
// returned, and a source by its index in Options.Sources.
type Scheduler interface {
	// Want fetches bytes of a blob, also if they arrived before.
	Want(blob int, r segment.Range)
	// SetTrust says how far a source is used. An excluded one stays excluded.
	SetTrust(source int, trust segment.Trust)
	// Hold keeps the blobs after this one from being fetched until Release.
	Hold(blob int)
	// Release undoes a Hold.
	Release(blob int)
	// Lacks reports whether a source can't be asked for a blob.
	Lacks(source, blob int) bool
	// Assigned reports whether a blob is left to one source. The search asks no other
	// source for it unless its digest is wrong.
	Assigned(blob int) bool
}

// Options says which sources send the blobs of a Search.
type Options struct {
	Sources     []Origin
	Scheduler   Scheduler
	Corrupt     *Corrupt                 // the sources that are known to be corrupt; the Search adds to it
	Doubted     map[string]bool          // names of sources that were corrupt in an earlier pull: trusted last; may be nil
	Resolver    string                   // name of the source that resolved the tag; "" if none did
	GiveUpAfter time.Duration            // without a byte from a source that no other can replace
	Scratch     func() (*os.File, error) // makes a file for what sources send a second time; called until it succeeds
	Report      Report
}

// Report has the functions that receive what a Search finds. They may be called
// from many goroutines; none may be nil.
type Report struct {
	Corrupt func(Finding)                // once for each source
	Suspect func(source, message string) // a source gets no requests until a blob is verified
	Warn    func(message string)
}

// Finding says that a source sent wrong bytes.
type Finding struct {
	Source      string
	Blob        string        // its digest
	Proof       string        // in one line, with the digest of the blob
	Excluded    bool          // false where all other sources are corrupt too, or lack the blob
	ExcludedFor time.Duration // 0: for good
}

// Search hashes blobs while they arrive. Where a digest is wrong, it finds the
// sources of the wrong bytes, excludes them, and repairs the blob. All methods
// except Close may be called from many goroutines.
type Search struct {
	opts    Options
	began   time.Time
	sources []*source

	turn     *semaphore.Weighted // one blob is searched at a time
	watchers *semaphore.Weighted // each watcher decompresses a blob
	answer   chan *check         // of a small blob that is right

	mu       sync.Mutex // guards what follows
	checks   []*check
	reserved int64 // bytes of the scratch file, for what sources may send

	scratch *os.File // sparse, with what sources sent a second time; nil before; guarded by turn
}

// New prepares a search, and excludes the sources that opts.Corrupt names. Call Close.
func New(opts Options) *Search {
	s := &Search{
		opts:     opts,
		began:    time.Now(),
		turn:     semaphore.NewWeighted(1),
		watchers: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
		answer:   make(chan *check, 1),
	}
	for k, o := range opts.Sources {
		s.sources = append(s.sources, &source{origin: o, index: k})
	}
	s.excludeCorrupt()
	s.suspectUnchecked()
	return s
}

// Close frees the disk of what sources sent a second time. It is called once,
// after all other calls have returned.
func (s *Search) Close() {
	if s.scratch != nil {
		s.scratch.Truncate(0) // it may have a name, which would keep the disk full
		s.scratch.Close()
	}
}

// Add adds a blob to the search, and returns its index, from 0 on.
func (s *Search) Add(b Blob) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &check{search: s, index: len(s.checks), blob: b}
	for _, src := range s.sources {
		c.replicas = append(c.replicas, &replica{check: c, source: src, base: s.reserved})
		s.reserved += b.Size()
	}
	s.checks = append(s.checks, c)
	return c.index
}

// all are the checks by the index of their blobs.
func (s *Search) all() []*check {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checks // which only grows
}

// Hashed is the length of the longest prefix of a blob that has been hashed, in
// bytes. It never falls, also if a repaired blob is hashed again.
func (s *Search) Hashed(blob int) int64 { return s.all()[blob].hashed.Offset() }

// Doubts reports whether some bytes of a blob are probably wrong, and will be replaced.
func (s *Search) Doubts(blob int) bool { return s.all()[blob].doubt.Load() }

// Blob hashes a blob as it arrives, and repairs it, until its digest is right.
// The error is a *MismatchError where every source of it is corrupt, a
// *segment.GiveUpError where a source is silent that could repair it, an error
// of the blob, or the cause of ctx. It may run for several blobs at a time, for
// each once.
func (s *Search) Blob(ctx context.Context, blob int) error {
	c := s.all()[blob]
	defer c.end()
	for err := c.hash(ctx); err != nil; err = c.hash(ctx) {
		if is[*MismatchError](err) {
			c.doubt.Store(true)
			err = c.repair(ctx, err)
			c.end()
		}
		if err != nil {
			return err
		}
	}
	c.right.Store(true)
	s.offerAnswer(c)
	return nil
}

// provedRight reports whether a source has served any of a blob that is right.
func (s *Search) provedRight(name string) bool {
	return slices.ContainsFunc(s.all(), func(c *check) bool {
		return c.right.Load() && c.served(name) > 0
	})
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
