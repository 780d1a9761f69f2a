package segment

import (
	"context"
	"sync"
	"time"
)

// Budget is how long a source that is asked alone may take.
type Budget struct {
	Total time.Duration // in all: a slow source could delay the caller forever
	Idle  time.Duration // without a byte
}

// Limit returns a context that ends after the total, with a *GiveUpError as
// its cause.
func (b Budget) Limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.Total, &GiveUpError{After: b.Total})
}

// Request describes what FetchRanges fetches.
type Request struct {
	Blob        int   // as Opener.Open gets it
	Size        int64 // of the blob, in bytes
	Ranges      []Range
	SegmentSize int64    // bytes; 0: 4 MiB
	Limiter     *Limiter // for all sources together; nil: none
	Budget      Budget
	NoRace      bool            // as that of Options
	Trouble     func(err error) // as that of Options
}

// FetchRanges fetches ranges of one blob from a single source, and passes their
// bytes to write, one call at a time, in any order, each byte once. The error
// is a *GiveUpError if the source does not finish within the budget, or a
// *HopelessError where it will not send the bytes.
func FetchRanges(ctx context.Context, p Peer, req Request, write func(off int64, b []byte) error) error {
	s := &single{write: write}
	for _, r := range req.Ranges {
		s.left.Add(r)
	}
	most := p.Connections
	if most == 0 {
		most = DefaultConnections
	}
	// With many connections, the ends of ranges are fetched twice for speed.
	p.Connections = min(most, 1+int(s.left.Len()/firstQuota))
	p.Opener = oneBlob{p.Opener, req.Blob}
	opts := Options{
		Blobs:       []int64{req.Size},
		Peers:       []Peer{p},
		Sink:        s,
		SegmentSize: req.SegmentSize,
		Limiter:     req.Limiter,
		GiveUpAfter: req.Budget.Idle,
		NoRace:      req.NoRace,
	}
	if req.Trouble != nil {
		opts.Trouble = func(_ int, err error) { req.Trouble(err) }
	}
	s.fetch = NewFetch(opts)
	for _, r := range req.Ranges {
		s.fetch.Want(0, r)
	}
	ctx, cancel := req.Budget.Limit(ctx)
	defer cancel()
	return s.fetch.Run(ctx)
}

// oneBlob is a source that is asked for a single blob, which is number 0 of
// the fetch.
type oneBlob struct {
	source Opener
	blob   int
}

// Open implements Opener.
func (o oneBlob) Open(ctx context.Context, _ int, r Range) (Answer, error) {
	return o.source.Open(ctx, o.blob, r)
}

// single is the sink of FetchRanges. It is complete when nothing is left.
type single struct {
	write func(off int64, b []byte) error
	fetch *Fetch

	mu   sync.Mutex // guards left and the calls of write
	left Set
}

// Write implements Sink.
func (s *single) Write(_ int, off int64, b []byte, _ int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := Range{Start: off, End: off + int64(len(b))}
	news := s.left.Within(came)
	for _, r := range news {
		if err := s.write(r.Start, b[r.Start-off:r.End-off]); err != nil {
			return err
		}
	}
	s.left.Remove(came)
	if len(news) > 0 && s.left.Len() == 0 {
		s.fetch.Settle()
	}
	return nil
}
