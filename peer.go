package segpull

import (
	"cmp"
	"context"
	"io"
	"slices"
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

// ask fetches ranges of a blob from p alone, and hands their bytes to write,
// one call at a time, in any order. The error is a *segment.GiveUpError or a
// *segment.HopelessError if p is what fails, as it does after the budget.
func (j *job) ask(ctx context.Context, p *peer, blob int, ranges []segment.Range, budget segment.Budget, write func(off int64, b []byte) error) error {
	return segment.FetchRanges(ctx, p.terms(p), segment.Request{
		Blob:        blob,
		Size:        j.blobs[blob].Size,
		Ranges:      ranges,
		SegmentSize: j.opts.SegmentSize,
		Limiter:     j.limits.all,
		Budget:      budget,
		Trouble:     func(err error) { j.trouble(p, err) },
	}, write)
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

// patience is the wait for so many bytes of p where there is nobody else.
func (j *job) patience(p *peer, bytes int64) segment.Budget {
	total := j.opts.GiveUpAfter + time.Duration(bytes/leastRate)*time.Second
	for _, limiter := range []*segment.Limiter{j.limits.all, p.limiter} {
		if limit := limiter.Rate(); limit > 0 {
			total += 2 * time.Duration(float64(bytes)/float64(limit)*float64(time.Second))
		}
	}
	return segment.Budget{Total: total, Idle: j.opts.GiveUpAfter}
}

// haste is the wait where there are others. What p has served, it did until
// some time.
func (j *job) haste(p *peer, bytes int64, until time.Time) segment.Budget {
	perByte := float64(until.Sub(j.began)) / float64(max(1, p.served.Load()))
	total := quickAnswer + time.Duration(min(slowdown*perByte*float64(bytes), float64(time.Hour)))
	most := j.patience(p, bytes)
	return segment.Budget{Total: min(total, most.Total), Idle: min(quickAnswer, most.Idle)}
}

// streams says whether p answers a request for a range with the whole blob.
func (j *job) streams(p *peer) bool {
	return j.fetch.Status()[slices.Index(j.peers, p)].Whole
}
