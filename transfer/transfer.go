package transfer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

const (
	// syncInterval is how much time a loss of power may cost.
	syncInterval = time.Second
	// syncLook is how often a transfer looks whether a store has enough to sync.
	syncLook = 100 * time.Millisecond
)

// Transfer fetches blobs from mirrors to disk. Its methods are safe for
// concurrent use, also while it runs. Run may be called only once.
type Transfer struct {
	opts    Options
	sources []*source
	fetch   *segment.Fetch
	search  *verify.Search
	spread  sync.Once     // over several blobs at a time
	lag     lag           // of the hash
	added   chan int      // blobs that were added while Run runs
	ended   chan struct{} // closed when Run has ended

	mu      sync.Mutex // guards what follows
	running bool
	items   []*item
}

// item is a blob of the transfer.
type item struct {
	descriptor ocispec.Descriptor
	store      *state.Store
	stored     *state.Blob
	outcome    *outcome
}

// New prepares a transfer. Nothing is fetched before Run.
func New(opts Options) *Transfer {
	t := &Transfer{opts: opts, added: make(chan int), ended: make(chan struct{})}
	for _, src := range opts.Sources {
		t.sources = append(t.sources, newSource(t, src))
	}
	if opts.Shared != nil {
		t.sources = append(t.sources, newStore(t, opts.Shared))
	}
	if opts.Scratch == nil {
		t.opts.Scratch = opts.Store.Create // it is removed with the store
	}
	t.fetch = segment.NewFetch(t.fetchOptions())
	t.search = verify.New(t.searchOptions())
	if len(opts.Blobs) > 0 {
		t.add(opts.Blobs, opts.Store)
	}
	return t
}

func (t *Transfer) fetchOptions() segment.Options {
	opts := segment.Options{
		Sink:        sink{t},
		SegmentSize: t.opts.SegmentSize,
		Limiter:     t.opts.Limiter,
		GiveUpAfter: t.opts.GiveUpAfter,
		NoRace:      t.opts.NoRace,
		KeepOpen:    t.opts.KeepOpen,
		Trouble:     func(source int, err error) { t.sources[source].trouble(err) },
		Stalled:     t.opts.Report.Stalled,
	}
	answers := func(s *source) bool { return s.mirror != nil && !s.mirror.Silent() }
	others := slices.ContainsFunc(t.sources, answers) // for a while, in place of silent ones
	for _, src := range t.sources {
		peer := src.peer()
		peer.Hint = hint(t.opts.History[src.Name()])
		peer.Hint.Silent = others && src.mirror != nil && !answers(src)
		opts.Peers = append(opts.Peers, peer)
	}
	return opts
}

// hint is what a record says of a source. What has come of its budget of requests
// since may be all that is left of it.
func hint(r sources.Record) segment.Hint {
	left := min(float64(r.Burst), r.PerMinute*time.Since(r.Seen).Minutes())
	return segment.Hint{
		Connections: r.Connections, Rate: r.Rate,
		Burst: r.Burst, PerMinute: r.PerMinute, Left: int(left),
	}
}

func (t *Transfer) searchOptions() verify.Options {
	opts := verify.Options{
		Scheduler:   t.fetch,
		Corrupt:     t.opts.Corrupt,
		Doubted:     make(map[string]bool),
		Resolver:    t.opts.Resolver,
		GiveUpAfter: t.opts.GiveUpAfter,
		Scratch:     t.opts.Scratch,
		Report:      t.opts.Report.Search,
	}
	for _, src := range t.sources {
		opts.Sources = append(opts.Sources, src)
		opts.Doubted[src.Name()] = !t.opts.History[src.Name()].Corrupt.IsZero()
	}
	return opts
}

// Add adds the blobs that a store was opened for, in this order, and for the
// names of the transfer's sources first. They are fetched after the others. The
// caller may close the store once each of them is right, has failed, or was
// ended. Add returns the index of the first; the error is ErrEnded when Run has
// ended.
func (t *Transfer) Add(blobs []ocispec.Descriptor, store *state.Store) (first int, err error) {
	first, running := t.add(blobs, store)
	return first, t.run(first, len(blobs), running)
}

// AddShared is Add for blobs that Options.Shared has, see Assign.
func (t *Transfer) AddShared(blobs []ocispec.Descriptor, store *state.Store) (first int, err error) {
	first, running := t.add(blobs, store)
	for i := range blobs {
		t.Assign(first + i)
	}
	return first, t.run(first, len(blobs), running)
}

// Assign says that Options.Shared has a blob. From then on, the mirrors are asked for the
// blob only if Shared fails, is silent, or is slower than they are.
func (t *Transfer) Assign(blob int) { t.fetch.Assign(blob, len(t.opts.Sources)) }

// run starts blobs that were added while Run runs.
func (t *Transfer) run(first, blobs int, running bool) (err error) {
	for i := range blobs {
		if !running {
			break
		}
		select {
		case t.added <- first + i:
		case <-t.ended:
			t.item(first + i).outcome.end(ErrEnded)
			err = ErrEnded
		}
	}
	return err
}

func (t *Transfer) add(blobs []ocispec.Descriptor, store *state.Store) (first int, running bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first = len(t.items)
	for i, d := range blobs {
		stored := store.Blob(i)
		t.items = append(t.items, &item{d, store, stored, newOutcome()})
		t.search.Add(blob{stored, string(d.Digest)})
		t.fetch.Add(d.Size)
	}
	store.Damaged = func(i int, r segment.Range) { t.fetch.Want(first+i, r) }
	return first, t.running
}

func (t *Transfer) item(i int) *item {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.items[i]
}

func (t *Transfer) allItems() []*item {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.items)
}

// Run fetches what is missing of the blobs, and returns when each of them is
// right or was ended. It is called once. The error is the cause of ctx; a
// *verify.MismatchError, or a *segment.HopelessError, where no source has the
// right bytes of a blob; a *segment.GiveUpError where no source has sent a byte
// for GiveUpAfter; or one of the disk.
func (t *Transfer) Run(parent context.Context) error {
	defer t.search.Close()
	group, ctx := errgroup.WithContext(parent)
	t.mu.Lock()
	t.running = true
	blobs := len(t.items)
	t.mu.Unlock()
	missing := false
	for i := range blobs {
		missing = t.start(ctx, group, i) || missing
	}
	fetching, fetched := context.WithCancel(ctx)
	group.Go(func() error {
		defer fetched()
		return t.runFetch(ctx)
	})
	group.Go(func() error { t.startAdded(fetching, ctx, group); return nil })
	group.Go(func() error { return t.sync(fetching) })
	if missing || t.opts.KeepOpen {
		group.Go(func() error { t.search.CheckSources(fetching); return nil })
	}
	err := group.Wait()
	if parent.Err() != nil {
		err = context.Cause(parent)
	}
	t.finish(err)
	return err
}

// start asks the fetch for what is missing of a blob, and verifies it. It
// returns whether anything is missing.
func (t *Transfer) start(ctx context.Context, group *errgroup.Group, i int) (missing bool) {
	for _, r := range t.item(i).stored.Missing() {
		missing = true
		t.fetch.Want(i, r)
	}
	group.Go(func() error { return t.verify(ctx, i) })
	return missing
}

// startAdded starts blobs that are added until fetching ends.
func (t *Transfer) startAdded(fetching, ctx context.Context, group *errgroup.Group) {
	for {
		select {
		case i := <-t.added:
			t.start(ctx, group, i)
		case <-fetching.Done():
			return
		}
	}
}

// runFetch runs the fetch. One that is kept open continues without the blobs
// that no source has.
func (t *Transfer) runFetch(ctx context.Context) error {
	for {
		err := t.fetch.Run(ctx)
		hopeless, ok := errors.AsType[*segment.HopelessError](err)
		if !ok || !t.opts.KeepOpen {
			return err
		}
		t.item(hopeless.Blob).outcome.end(err)
		t.fetch.Drop(hopeless.Blob)
	}
}

// verify hashes blob i as it arrives, until it is right or was ended.
func (t *Transfer) verify(ctx context.Context, i int) error {
	o := t.item(i).outcome
	ctx, cancel := o.bind(ctx)
	defer cancel()
	err := t.search.Blob(ctx, i)
	if err == nil {
		close(o.right)
		t.fetch.Settle()
		return nil
	}
	if _, mismatch := errors.AsType[*verify.MismatchError](err); mismatch && t.opts.KeepOpen {
		o.end(err)
	}
	if o.failed.Err() != nil {
		t.fetch.Drop(i)
		return nil
	}
	return err
}

// finish ends the blobs that are not right when Run ends.
func (t *Transfer) finish(err error) {
	close(t.ended)
	for _, item := range t.allItems() {
		item.outcome.end(cmp.Or(err, ErrEnded))
	}
}

// sync makes what has arrived durable: from time to time, and when a store has enough of it.
func (t *Transfer) sync(ctx context.Context) error {
	tick := time.NewTicker(syncLook)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case now := <-tick.C:
			late := now.Sub(last) >= syncInterval
			if late {
				last = now
			}
			if err := t.syncStores(late); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// syncStores makes durable what the stores have: all of them, or those with enough of it.
func (t *Transfer) syncStores(all bool) error {
	for store := range t.unfinished() {
		if !all && !store.SyncDue() {
			continue
		}
		if err := store.Sync(); err != nil && t.unfinished()[store] {
			return err
		}
	}
	return nil
}

// unfinished returns the stores with blobs that are neither right nor ended:
// the others may be closed.
func (t *Transfer) unfinished() map[*state.Store]bool {
	stores := make(map[*state.Store]bool)
	for _, item := range t.allItems() {
		if !item.outcome.known() {
			stores[item.store] = true
		}
	}
	return stores
}

// ForgetCorrupt discards what corrupt sources sent of blobs that are not right.
// Call it after a Run that failed, so that no wrong bytes stay on disk. The
// errors are those of the disk, joined.
func (t *Transfer) ForgetCorrupt() error { return t.search.ForgetCorrupt() }

// sink is where the fetch writes.
type sink struct{ transfer *Transfer }

// Write implements segment.Sink. It asks the fetch for the bytes of a corrupt
// source again.
func (s sink) Write(blob int, off int64, p []byte, source int) error {
	t := s.transfer
	if !t.search.Accepts(t.sources[source].Name(), blob) {
		t.fetch.Want(blob, segment.Range{Start: off, End: off + int64(len(p))})
		return nil
	}
	item := t.item(blob)
	if err := item.stored.Write(off, p, source); err != nil {
		if item.outcome.known() {
			return nil // its store may be closed
		}
		return err
	}
	t.pace()
	return nil
}

// blob is a blob of the store as verify knows it.
type blob struct {
	*state.Blob
	digest string
}

// Digest implements verify.Blob.
func (b blob) Digest() string { return b.digest }

// Runs implements verify.Blob.
func (b blob) Runs() []verify.Run {
	stored := b.Blob.Runs()
	runs := make([]verify.Run, len(stored))
	for i, r := range stored {
		runs[i] = verify.Run(r)
	}
	return runs
}
