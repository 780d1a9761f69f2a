package segment

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Opener is what a Fetch needs of a mirror.
type Opener interface {
	// Open asks for the bytes r of a blob. Errors may have the methods that
	// failure.go lists.
	Open(ctx context.Context, blob int, r Range) (Answer, error)
}

// Answer is what a source sends for a request.
type Answer struct {
	Body io.ReadCloser
	// Range is the bytes of the blob that the body is: those asked for, or the
	// first of them, or the whole blob where the source does not serve ranges.
	Range Range
	// Sent is when the request had a connection and was sent; zero: when Open was
	// called.
	Sent time.Time
}

// Sink is where the bytes go.
type Sink interface {
	// Write takes bytes of a blob that start at off and came from a source. It
	// is called from many goroutines, and may see the same bytes twice. An
	// error ends the fetch.
	Write(blob int, off int64, p []byte, source int) error
}

// Peer is a source and how it is used.
type Peer struct {
	Opener
	Name        string
	Connections int      // at the most; 0: DefaultConnections
	Limiter     *Limiter // for this source alone; nil: none
	Hint        Hint     // from an earlier fetch

	// Warm is how many connections are open already: as many requests are made at
	// first.
	Warm int
	// RoundTrip is how long one took while they were opened; 0: unknown.
	RoundTrip time.Duration

	// Assigned says that the source has only the blobs that are assigned to it.
	Assigned bool
}

// Options configure a Fetch.
type Options struct {
	Blobs       []int64 // sizes in bytes
	Peers       []Peer
	Sink        Sink
	SegmentSize int64         // bytes; 0: 4 MiB
	Limiter     *Limiter      // for all sources together; nil: none
	GiveUpAfter time.Duration // without a byte from any source; 0: DefaultGiveUp
	KeepOpen    bool          // Run goes on when all blobs are settled, until its context ends
	// NoRace makes no request a second time to save time. If no answer has come
	// for 30 s, a source is asked again, and only the first answer is read.
	NoRace bool
	// Trouble is called for each request that failed and is made again, also of
	// another source. It may be called from many goroutines; nil: nothing is
	// called.
	Trouble func(source int, err error)
	// Stalled is called once when no source has sent a byte for 10 s, with the
	// last failure or the silence of each, and again only after a byte has come;
	// nil: nothing is called.
	Stalled func(silent time.Duration, reasons []error)
}

// Fetch makes the requests that a scheduler decides on. Want and Settle may be
// called from any goroutine, before and during Run.
type Fetch struct {
	opts Options

	mu        sync.Mutex // guards what follows
	sched     *scheduler
	cancel    map[*task]context.CancelFunc
	unsettled int
	last      []lastFailure // last failure of each source
	looked    time.Time     // when outlook was last called
	stalled   bool          // Stalled was called, and no byte came since

	kick chan struct{} // something changed: look for work
}

const (
	// DefaultGiveUp is how long a fetch continues without a byte.
	DefaultGiveUp = 5 * time.Minute
	// stalledAfter is how long a fetch continues without a byte until it calls
	// Stalled.
	stalledAfter = 10 * time.Second
	// tickInterval is the time between two ticks, and less than a rate needs to
	// show.
	tickInterval = 100 * time.Millisecond
	// mostConnections bounds the memory of blocks: 256 KiB for each.
	mostConnections = 96
)

// NewFetch prepares a fetch. It fetches nothing until Want is called.
func NewFetch(opts Options) *Fetch {
	if opts.GiveUpAfter == 0 {
		opts.GiveUpAfter = DefaultGiveUp
	}
	connections := make([]int, len(opts.Peers))
	for i, p := range opts.Peers {
		connections[i] = connectionsOf(p, opts)
	}
	f := &Fetch{
		opts:      opts,
		sched:     newScheduler(opts.SegmentSize, opts.Blobs, connections, uint64(time.Now().UnixNano())),
		cancel:    make(map[*task]context.CancelFunc),
		unsettled: len(opts.Blobs),
		last:      make([]lastFailure, len(opts.Peers)),
		kick:      make(chan struct{}, 1),
	}
	f.sched.noRace = opts.NoRace
	if opts.KeepOpen {
		f.unsettled++
	}
	for i, p := range opts.Peers {
		f.sched.expect(i, p.Hint, time.Now())
		f.sched.warm(i, p.Warm, p.RoundTrip)
		f.sched.sources[i].assigned = p.Assigned // before any blob is added
		f.sched.limitConnections(i, AtFirst(opts.Limiter, p.Limiter, len(opts.Peers)))
	}
	return f
}

// AtFirst is how many connections to each of so many sources a fetch starts with at
// the most. Few share a rate limit: they receive few bytes that nobody has read. all
// is the limit of all sources together, own that of this one; nil: no limit.
func AtFirst(all, own *Limiter, sources int) int {
	return min(own.connections(), max(1, all.connections()/sources), affordable(sources))
}

// affordable is how many connections to each of so many sources memory allows: all
// together have no more than mostConnections, or one each.
func affordable(sources int) int { return max(1, mostConnections/sources) }

// connectionsOf is the most connections to one of the peers.
func connectionsOf(p Peer, opts Options) int {
	most := p.Connections
	if most == 0 {
		most = DefaultConnections
	}
	return min(most, affordable(len(opts.Peers)))
}

// Want asks for the bytes of r: at first for what is missing, later for what
// turned out to be damaged.
func (f *Fetch) Want(blob int, r Range) {
	f.locked(func() { f.sched.want(blob, r) })
	f.poke()
}

// SetParallel sets how many blobs are fetched side by side, 1 at first: each
// can be hashed by a processor of its own.
func (f *Fetch) SetParallel(blobs int) {
	f.locked(func() { f.sched.setParallel(blobs) })
}

// Settle reports that a blob is complete and its digest right. It is called once
// for each blob.
func (f *Fetch) Settle() {
	f.locked(func() { f.unsettled-- })
	f.poke()
}

// Lacks reports whether a Fetch cannot ask a source for a blob.
func (f *Fetch) Lacks(source, blob int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sched.lacks(source, blob)
}

// Status returns the state of each source.
func (f *Fetch) Status() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sched.status(time.Now())
}

// Run fetches until every blob is settled. It ends early with the cause of ctx,
// with an error of the sink, with a *GiveUpError when no source has sent a byte
// for GiveUpAfter, or with a *HopelessError when none is left to ask. All bytes
// that came are in the sink when it returns.
func (f *Fetch) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop(nil)

	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	moved := time.Now()
	f.tick()
	for {
		for t := f.next(ctx); t != nil; t = f.next(ctx) {
			workers.Go(func() {
				if err := f.carryOut(t); err != nil {
					stop(err)
				}
			})
		}
		done, err := f.outlook(&moved)
		if done || err != nil {
			return err
		}
		f.reportStall(moved)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.kick:
		case <-tick.C:
			f.tick()
		}
	}
}

// handedOut is a task with the context that ends it.
type handedOut struct {
	*task
	ctx context.Context
}

func (f *Fetch) next(ctx context.Context) *handedOut {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	t := f.sched.next(time.Now())
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	f.cancel[t] = cancel
	return &handedOut{t, ctx}
}

func (f *Fetch) tick() {
	f.locked(func() { f.sched.tick(time.Now()) })
}

// outlook reports whether all is done, or returns why it never will be. moved is
// when there last was progress.
func (f *Fetch) outlook(moved *time.Time) (done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.unsettled == 0 {
		return true, nil
	}
	if f.sched.nothingToFetch(now) {
		*moved = now // the blobs are being hashed
	}
	*moved = later(*moved, f.sched.moved)
	if absent := now.Sub(f.looked); !f.looked.IsZero() && absent > patience {
		*moved = moved.Add(absent) // the process was stopped, or the machine asleep
	}
	f.looked = now
	if blob, none := f.sched.hopeless(); none {
		return false, &HopelessError{Blob: blob, Reasons: f.reasons()}
	}
	if idle := now.Sub(*moved); idle >= f.opts.GiveUpAfter {
		return false, &GiveUpError{After: f.opts.GiveUpAfter, Reasons: f.reasons()}
	}
	return false, nil
}

// reportStall calls Stalled once when nothing has moved for long.
func (f *Fetch) reportStall(moved time.Time) {
	silent := time.Since(moved)
	if silent < stalledAfter {
		f.stalled = false
		return
	}
	if f.stalled || f.opts.Stalled == nil {
		return
	}
	f.stalled = true
	f.mu.Lock()
	reasons := f.reasons()
	f.mu.Unlock()
	f.opts.Stalled(silent, reasons)
}

// locked runs fn under the lock, and cancels the tasks that it revoked.
func (f *Fetch) locked(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
	for _, t := range f.sched.takeRevoked() {
		if cancel := f.cancel[t]; cancel != nil {
			cancel()
		}
	}
}

func (f *Fetch) poke() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// lastFailure is why the last request to a source that failed did so, and the blob that
// it was for. Its err is nil where no request has failed.
type lastFailure struct {
	blob int
	err  error
}

// reasons returns the last failure of each source, or else how long it has been
// silent.
func (f *Fetch) reasons() []error {
	var all []error
	for i, last := range f.last {
		err := last.err
		if silent := f.sched.silent(i, time.Now()); err == nil && silent > 0 {
			err = fmt.Errorf("no answer for %v", silent.Round(time.Second))
		}
		if wait := f.sched.sources[i].ration.wait(time.Now()); err == nil && wait > 0 {
			err = fmt.Errorf("it answers no request for another %v", wait.Round(time.Second))
		}
		if err != nil {
			all = append(all, named(f.opts.Peers[i].Name, err))
		}
	}
	return all
}

// named puts the name of a source before its error, unless it is there.
func named(name string, err error) error {
	if strings.HasPrefix(err.Error(), name+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// GiveUpError reports that no source has sent a byte for a long time.
type GiveUpError struct {
	After   time.Duration
	Reasons []error // the last failure of each source
}

func (e *GiveUpError) Error() string {
	return fmt.Sprintf("no byte from any source for %v%s", e.After, because(e.Reasons))
}

func (e *GiveUpError) Unwrap() []error { return e.Reasons }

// HopelessError reports that no source is left to ask for a blob.
type HopelessError struct {
	Blob    int
	Reasons []error // the last failure of each source
}

func (e *HopelessError) Error() string {
	return "no source is left to fetch it from" + because(e.Reasons)
}

func (e *HopelessError) Unwrap() []error { return e.Reasons }

func because(reasons []error) string {
	if len(reasons) == 0 {
		return ""
	}
	texts := make([]string, len(reasons))
	for i, err := range reasons {
		texts[i] = err.Error()
	}
	return " (" + strings.Join(texts, "; ") + ")"
}
