package segpull

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// peer is a source as the pull of one image sees it. Whoever asks it keeps to
// the same terms: its rate limit, and so many requests at once.
type peer struct {
	*sources.Source
	repository string
	blobs      []ocispec.Descriptor
	limiter    *segment.Limiter // its own
	slots      chan struct{}    // one for each request
	served     atomic.Int64     // bytes of bodies
	failure    atomic.Pointer[Trouble]
	silent     atomic.Int64 // when it last kept us waiting in vain, in Unix seconds

	spared bool // as the only source, after its first lie
}

// forFiles is how many descriptors connections leave to all else: the part
// folder, the output, what the runtime has.
const forFiles = 24

// affordable is the most connections to each of so many sources. A request that
// is sent on to another host has two.
func affordable(sources int) int {
	return max(1, (mostDescriptors()-forFiles)/2/sources)
}

func newPeer(src *sources.Source, repository string, blobs []ocispec.Descriptor, connections, atMost int, limits *Limits) *peer {
	most := cmp.Or(connections, segment.DefaultConnections)
	if own := src.Connections(); own > 0 && (own < most || connections == 0) {
		most = own
	}
	return &peer{
		Source:     src,
		repository: repository,
		blobs:      blobs,
		limiter:    limits.mirror(src.Name(), src.LimitRate()),
		slots:      make(chan struct{}, min(most, atMost)),
	}
}

// terms is p as a segment.Fetch uses it.
func (p *peer) terms(source segment.Source) segment.Peer {
	return segment.Peer{Source: source, Name: p.Name(), Connections: cap(p.slots), Limiter: p.limiter}
}

// Open implements segment.Source.
func (p *peer) Open(ctx context.Context, blob int, r segment.Range) (io.ReadCloser, segment.Range, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, r, context.Cause(ctx)
	}
	body, start, end, err := p.Source.Open(ctx, p.repository, p.blobs[blob], r.Start, r.End)
	if err != nil {
		<-p.slots
		return nil, r, err
	}
	return &counted{ReadCloser: body, peer: p}, segment.Range{Start: start, End: end}, nil
}

// counted is the body of a request to a peer. It is closed once.
type counted struct {
	io.ReadCloser
	peer *peer
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.peer.served.Add(int64(n))
	return n, err
}

func (c *counted) Close() error {
	defer func() { <-c.peer.slots }()
	return c.ReadCloser.Close()
}

// perConnection is how many bytes ask wants before it opens one more
// connection: with many, the ends of ranges are fetched twice for speed.
const perConnection = 1 << 20

// ask fetches ranges of a blob from p alone, and hands their bytes to write,
// one call at a time, in any order. The error is a *segment.GiveUpError or a
// *segment.HopelessError if p is what fails, as it does after wait.
func (j *job) ask(ctx context.Context, p *peer, blob int, ranges []segment.Range, wait wait, write func(off int64, b []byte) error) error {
	a := &answer{write: write}
	for _, r := range ranges {
		a.left.Add(r)
	}
	terms := p.terms(oneBlob{p, blob})
	terms.Connections = min(terms.Connections, 1+int(a.left.Len()/perConnection))
	a.fetch = segment.NewFetch(segment.Options{
		Blobs:       []int64{j.blobs[blob].Size},
		Peers:       []segment.Peer{terms},
		Sink:        a,
		SegmentSize: j.opts.SegmentSize,
		Limiter:     j.limits.all,
		GiveUpAfter: wait.idle,
		Trouble:     func(_ int, err error) { j.trouble(p, err) },
	})
	for _, r := range ranges {
		a.fetch.Want(0, r)
	}
	ctx, cancel := wait.limit(ctx)
	defer cancel()
	return a.fetch.Run(ctx)
}

const (
	// quickAnswer is how long a source may be idle while there are others to
	// ask,
	quickAnswer = 5 * time.Second
	// and slowdown how many times slower than so far it may be.
	slowdown = 4
	// leastRate is, in bytes a second, what is worth waiting for at all.
	leastRate = 16 << 10
)

// wait is how long a source that is asked alone may take.
type wait struct {
	total time.Duration // a trickle is no answer: it could hold up the pull for ever
	idle  time.Duration // without a byte
}

// limit is a context that ends after the total.
func (w wait) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, w.total, &segment.GiveUpError{After: w.total})
}

// patience is the wait for so many bytes of p where there is nobody else.
func (j *job) patience(p *peer, bytes int64) wait {
	total := j.opts.GiveUpAfter + time.Duration(bytes/leastRate)*time.Second
	for _, limiter := range []*segment.Limiter{j.limits.all, p.limiter} {
		if limit := limiter.Rate(); limit > 0 {
			total += 2 * time.Duration(float64(bytes)/float64(limit)*float64(time.Second))
		}
	}
	return wait{total, j.opts.GiveUpAfter}
}

// haste is the wait where there are others. What p has served, it did until
// some time.
func (j *job) haste(p *peer, bytes int64, until time.Time) wait {
	perByte := float64(until.Sub(j.began)) / float64(max(1, p.served.Load()))
	total := quickAnswer + time.Duration(min(slowdown*perByte*float64(bytes), float64(time.Hour)))
	most := j.patience(p, bytes)
	return wait{min(total, most.total), min(quickAnswer, most.idle)}
}

// streams says whether p answers a request for a range with the whole blob.
func (j *job) streams(p *peer) bool {
	return j.fetch.Status()[slices.Index(j.peers, p)].Whole
}

// oneBlob is a peer that is asked for a single blob, which is number 0.
type oneBlob struct {
	*peer
	blob int
}

func (o oneBlob) Open(ctx context.Context, _ int, r segment.Range) (io.ReadCloser, segment.Range, error) {
	return o.peer.Open(ctx, o.blob, r)
}

// answer is the sink of ask. It is complete when nothing is left.
type answer struct {
	write func(off int64, b []byte) error
	fetch *segment.Fetch

	mu   sync.Mutex
	left segment.Set
}

// Write implements segment.Sink.
func (a *answer) Write(_ int, off int64, b []byte, _ int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	came := segment.Range{Start: off, End: off + int64(len(b))}
	news := a.left.Within(came)
	for _, r := range news {
		if err := a.write(r.Start, b[r.Start-off:r.End-off]); err != nil {
			return err
		}
	}
	a.left.Remove(came)
	if len(news) > 0 && a.left.Len() == 0 {
		a.fetch.Settle()
	}
	return nil
}
