package transfer

import (
	"cmp"
	"context"
	"io"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// Store has some of the blobs, beside the mirrors, such as bucket.Store.
type Store interface {
	// Name is what messages call it. No source has the same.
	Name() string
	// Open requests bytes of a blob, as sources.Source.Open does.
	Open(ctx context.Context, repository string, b ocispec.Descriptor, start, end int64) (body io.ReadCloser, from, to int64, err error)
}

// source is a mirror, or the store, in one transfer. All requests to it share its rate
// limit, and its number of requests at once.
type source struct {
	transfer *Transfer
	source   Store
	mirror   *sources.Source  // nil: it is the store
	limiter  *segment.Limiter // its own
	slots    chan struct{}    // one for each request
	served   atomic.Int64     // bytes of bodies
	failure  atomic.Pointer[error]
}

// forFiles is how many descriptors connections leave for everything else: the
// store, the output, and the runtime.
const forFiles = 24

// affordable is the most connections to each of so many sources. A request that
// is redirected to another host has two.
func affordable(sources int) int {
	return max(1, (mostDescriptors()-forFiles)/2/sources)
}

// MostConnections is how many connections a transfer from so many sources opens to
// src at the most. wanted is Options.Connections.
func MostConnections(wanted int, src *sources.Source, sources int) int {
	most := cmp.Or(wanted, segment.DefaultConnections)
	if own := src.Connections(); own > 0 && (own < most || wanted == 0) {
		most = own
	}
	return min(most, affordable(sources))
}

func newSource(t *Transfer, src *sources.Source) *source {
	return &source{
		transfer: t,
		source:   src,
		mirror:   src,
		limiter:  t.opts.Limiters[src.Name()],
		slots:    make(chan struct{}, MostConnections(t.opts.Connections, src, len(t.opts.Sources))),
	}
}

// storeConnections is how many requests at once the store gets at the most.
const storeConnections = 16

func newStore(t *Transfer, store Store) *source {
	return &source{transfer: t, source: store, slots: make(chan struct{}, min(storeConnections, affordable(len(t.opts.Sources)+1)))}
}

// peer is the source as a segment.Fetch uses it.
func (s *source) peer() segment.Peer {
	p := segment.Peer{Opener: s, Name: s.Name(), Connections: cap(s.slots), Limiter: s.limiter, Assigned: s.mirror == nil}
	if s.mirror != nil {
		p.Warm, p.RoundTrip = s.mirror.Warmed()
	}
	return p
}

// Name implements verify.Origin.
func (s *source) Name() string { return s.source.Name() }

// Served implements verify.Origin.
func (s *source) Served() int64 { return s.served.Load() }

// WholeOnly implements verify.Origin.
func (s *source) WholeOnly() bool {
	return s.transfer.fetch.Status()[s.index()].Whole
}

// Spare implements verify.Origin.
func (s *source) Spare() bool { return s.transfer.fetch.Spare(s.index()) }

// index is the index of the source in the fetch.
func (s *source) index() int { return slices.Index(s.transfer.sources, s) }

// LimitTime implements verify.Origin.
func (s *source) LimitTime(bytes int64) (total time.Duration) {
	for _, limiter := range []*segment.Limiter{s.transfer.opts.Limiter, s.limiter} {
		if limit := limiter.Rate(); limit > 0 {
			total += time.Duration(float64(bytes) / float64(limit) * float64(time.Second))
		}
	}
	return total
}

// ReadRanges implements verify.Origin.
func (s *source) ReadRanges(ctx context.Context, blob int, ranges []segment.Range, budget segment.Budget, write func(off int64, p []byte) error) error {
	if s.transfer.fetch.Lacks(s.index(), blob) {
		hopeless := &segment.HopelessError{Blob: blob}
		if failure := s.lastFailure(); failure != nil {
			hopeless.Reasons = []error{failure}
		}
		return hopeless
	}
	opts := s.transfer.opts
	peer := s.peer()
	known := s.transfer.fetch.Status()[s.index()].Hint
	peer.Opener = spending{s}
	peer.Hint = segment.Hint{Burst: known.Burst, PerMinute: known.PerMinute, Left: known.Left}
	return segment.FetchRanges(ctx, peer, segment.Request{
		Blob:        blob,
		Size:        s.transfer.item(blob).descriptor.Size,
		Ranges:      ranges,
		SegmentSize: opts.SegmentSize,
		Limiter:     opts.Limiter,
		Budget:      budget,
		NoRace:      opts.NoRace,
		Trouble:     s.trouble,
	}, write)
}

// lastFailure is the error of the last request that failed; nil: none has.
func (s *source) lastFailure() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *source) trouble(err error) {
	s.failure.Store(&err)
	s.transfer.opts.Report.Trouble(s.Name(), err)
}

// Open implements segment.Opener.
func (s *source) Open(ctx context.Context, blob int, r segment.Range) (segment.Answer, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return segment.Answer{}, context.Cause(ctx)
	}
	opts, blobOf, began := s.transfer.opts, s.transfer.item(blob).descriptor, time.Now()
	var sent atomic.Int64 // in Unix nanoseconds
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(time.Now().UnixNano()) },
	})
	ctx = sources.WithQuota(ctx, func(q sources.Quota) { s.transfer.fetch.Learn(s.index(), segment.Quota(q)) })
	body, start, end, err := s.source.Open(ctx, opts.Repository, blobOf, r.Start, r.End)
	request := Request{Source: s.Name(), Blob: blobOf.Digest, Range: r, Waited: time.Since(began)}
	if err != nil {
		<-s.slots
		s.ended(ctx, request, began, err)
		return segment.Answer{}, err
	}
	return segment.Answer{
		Body:  &counted{body: body, source: s, ctx: ctx, began: began, request: request},
		Range: segment.Range{Start: start, End: end},
		Sent:  time.Unix(0, sent.Load()),
	}, nil
}

// ended reports a request that has ended. An error after the end of its context is not
// one of the source.
func (s *source) ended(ctx context.Context, r Request, began time.Time, err error) {
	if s.transfer.opts.Report.Request == nil {
		return
	}
	r.Took = time.Since(began)
	if ctx.Err() == nil {
		r.Err = err
	}
	s.transfer.opts.Report.Request(r)
}

// spending is a source whose requests the fetch does not make itself.
type spending struct{ *source }

// Open implements segment.Opener.
func (s spending) Open(ctx context.Context, blob int, r segment.Range) (segment.Answer, error) {
	s.transfer.fetch.Spend(s.index())
	return s.source.Open(ctx, blob, r)
}

// counted is the body of a request to a source. It is closed once.
type counted struct {
	body    io.ReadCloser
	source  *source
	ctx     context.Context // of the request
	began   time.Time
	request Request
	err     error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.source.served.Add(int64(n))
	c.request.Bytes += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *counted) Close() error {
	defer func() { <-c.source.slots }()
	c.source.ended(c.ctx, c.request, c.began, c.err)
	return c.body.Close()
}
