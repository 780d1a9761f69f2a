package transfer

import (
	"context"
	"errors"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// syncInterval is how much work a loss of power may cost. It also makes the
// disk write while the network is read, so that little is left for the end.
const syncInterval = time.Second

// Options say which blobs to bring, from where, and to where.
type Options struct {
	Repository  string
	Blobs       []ocispec.Descriptor // in the order in which they are fetched
	Sources     []*sources.Source
	Store       *state.Store                // opened for these blobs, and for the names of these sources first
	Memory      sources.Memory              // what sources were like before
	Limiter     *segment.Limiter            // for all traffic together
	Limiters    map[string]*segment.Limiter // for each source, by its name
	Connections int                         // at the most to one source; 0: segment.DefaultConnections
	SegmentSize int64                       // bytes; 0: segment.DefaultSegmentSize
	GiveUpAfter time.Duration               // without a byte from any source
	Resolver    string                      // name of the source that resolved the tag, if any
	Corrupt     *verify.Corrupt             // the sources that are known to be corrupt; the transfer adds to it
	Report      Report
}

// Report takes what happens in a transfer. Its functions may be called from
// many goroutines.
type Report struct {
	Search  verify.Report                  // of sources and their bytes
	Trouble func(source string, err error) // a request failed, and is made again or elsewhere
	Stalled func(silent time.Duration, reasons []error)
}

// Transfer brings blobs from mirrors to disk. Its methods may be called while
// it runs.
type Transfer struct {
	opts     Options
	sources  []*source
	outcomes []*outcome // of each blob
	fetch    *segment.Fetch
	search   *verify.Search
	spread   sync.Once // over several blobs at a time
}

// New prepares a transfer. Nothing is fetched before Run.
func New(opts Options) *Transfer {
	t := &Transfer{opts: opts}
	for _, src := range opts.Sources {
		t.sources = append(t.sources, newSource(t, src))
	}
	for range opts.Blobs {
		t.outcomes = append(t.outcomes, newOutcome())
	}
	t.fetch = segment.NewFetch(t.fetchOptions())
	t.search = verify.New(t.searchOptions())
	opts.Store.Damaged = t.fetch.Want
	return t
}

func (t *Transfer) fetchOptions() segment.Options {
	opts := segment.Options{
		Sink:        sink{t},
		SegmentSize: t.opts.SegmentSize,
		Limiter:     t.opts.Limiter,
		GiveUpAfter: t.opts.GiveUpAfter,
		Trouble:     func(source int, err error) { t.sources[source].trouble(err) },
		Stalled:     t.opts.Report.Stalled,
	}
	for _, b := range t.opts.Blobs {
		opts.Blobs = append(opts.Blobs, b.Size)
	}
	for _, src := range t.sources {
		peer := src.peer()
		h := t.opts.Memory[src.Name()]
		peer.Hint = segment.Hint{Connections: h.Connections, Request: h.Request, Rate: h.Rate, Ranges: h.Ranges}
		opts.Peers = append(opts.Peers, peer)
	}
	return opts
}

func (t *Transfer) searchOptions() verify.Options {
	opts := verify.Options{
		Scheduler:   t.fetch,
		Corrupt:     t.opts.Corrupt,
		Doubted:     make(map[string]bool),
		Resolver:    t.opts.Resolver,
		GiveUpAfter: t.opts.GiveUpAfter,
		Scratch:     t.opts.Store.Create, // it goes with the folder
		Report:      t.opts.Report.Search,
	}
	for i, b := range t.opts.Blobs {
		opts.Blobs = append(opts.Blobs, blob{t.opts.Store.Blob(i), string(b.Digest)})
	}
	for _, src := range t.sources {
		opts.Sources = append(opts.Sources, src)
		opts.Doubted[src.Name()] = !t.opts.Memory[src.Name()].Corrupt.IsZero()
	}
	return opts
}

// Run fetches what is missing of the blobs, and returns when each of them is
// right or was ended. It is called once. The error is the cause of ctx; a *verify.MismatchError, or a
// *segment.HopelessError, where no source has the right bytes of a blob; a
// *segment.GiveUpError where no source has moved for long; or one of the disk.
func (t *Transfer) Run(parent context.Context) error {
	defer t.search.Close()
	missing := false
	for i := range t.opts.Blobs {
		for _, r := range t.opts.Store.Blob(i).Missing() {
			missing = true
			t.fetch.Want(i, r)
		}
	}
	group, ctx := errgroup.WithContext(parent)
	for i := range t.opts.Blobs {
		group.Go(func() error { return t.verify(ctx, i) })
	}
	fetching, fetched := context.WithCancel(ctx)
	group.Go(func() error {
		defer fetched()
		return t.fetch.Run(ctx)
	})
	group.Go(func() error { return t.sync(fetching) })
	if missing {
		group.Go(func() error { t.search.CheckSources(fetching); return nil })
	}
	err := group.Wait()
	if parent.Err() != nil {
		err = context.Cause(parent)
	}
	if err != nil {
		for _, o := range t.outcomes {
			o.end(err)
		}
	}
	return err
}

// verify hashes blob i as it arrives, until it is right or was ended.
func (t *Transfer) verify(ctx context.Context, i int) error {
	o := t.outcomes[i]
	ctx, cancel := o.bind(ctx)
	defer cancel()
	err := t.search.Blob(ctx, i)
	switch {
	case err == nil:
		close(o.right)
		t.fetch.Settle()
	case errors.Is(err, ErrEnded):
		t.fetch.Drop(i)
		return nil
	}
	return err
}

func (t *Transfer) sync(ctx context.Context) error {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := t.opts.Store.Sync(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// ForgetCorrupt gives up all that corrupt sources sent of blobs that are not
// right: it is for a transfer that failed, so that nothing wrong is kept.
func (t *Transfer) ForgetCorrupt() error { return t.search.ForgetCorrupt() }

// sink is where the fetch writes.
type sink struct{ transfer *Transfer }

// Write implements segment.Sink. It wants bytes of a corrupt source again.
func (s sink) Write(blob int, off int64, p []byte, source int) error {
	t := s.transfer
	if !t.search.Accepts(source, blob) {
		t.fetch.Want(blob, segment.Range{Start: off, End: off + int64(len(p))})
		return nil
	}
	if err := t.opts.Store.Write(blob, off, p, source); err != nil {
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
