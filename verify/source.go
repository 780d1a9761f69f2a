package verify

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/segpull/segpull/segment"
)

const (
	// quickAnswer is how long a source may be idle while there are others to
	// ask,
	quickAnswer = 5 * time.Second
	// and slowdown how many times slower than before it may be.
	slowdown = 4
	// leastRate is, in bytes a second, what is worth waiting for at all.
	leastRate = 16 << 10
	// timeoutMemory is for how long a source that exceeded its budget is
	// passed over.
	timeoutMemory = 30 * time.Second
)

// source is an Origin, and what the search remembers of it.
type source struct {
	origin    Origin
	index     int       // in Options.Sources
	unchecked bool      // it was excluded, and is a suspect until it has sent a known answer
	suspected int       // in how many blobs it is the suspect; guarded by Search.mu
	timedOut  time.Time // when it last exceeded its budget; guarded by Search.turn
	retried   bool      // as the only source of a blob, after the first wrong bytes; guarded by Search.turn
}

func (src *source) name() string { return src.origin.Name() }

// budget is for so many bytes of a source: long where no other can stand in for
// it.
func (s *Search) budget(src *source, bytes int64, long bool) segment.Budget {
	idle := s.opts.GiveUpAfter
	total := idle + time.Duration(bytes/leastRate)*time.Second + 2*src.origin.LimitTime(bytes)
	if !long {
		perByte := float64(time.Since(s.began)) / float64(max(1, src.origin.Served()))
		usual := min(slowdown*perByte*float64(bytes), float64(time.Hour))
		idle, total = min(idle, quickAnswer), min(total, quickAnswer+time.Duration(usual))
	}
	return segment.Budget{Total: total, Idle: idle}
}

// unavailable reports whether an error means that a source does not answer, or
// not for this blob.
func unavailable(err error) bool {
	return is[*segment.GiveUpError](err) || is[*segment.HopelessError](err)
}

// ask reads bytes of the blob from the source within a short time; at should be
// short too.
func (r *replica) ask(ctx context.Context, at segment.Range) ([]byte, error) {
	p := make([]byte, at.Len())
	budget := r.check.search.budget(r.source, at.Len(), false)
	err := r.source.origin.ReadRanges(ctx, r.check.index, []segment.Range{at}, budget, func(off int64, b []byte) error {
		copy(p[off-at.Start:], b)
		return nil
	})
	return p, err
}

// askAll calls answer with the first bytes of the blob as sources have them, and whether
// they are those of start. It asks, all at the same time, the sources that did not serve
// start, are not corrupt and have a request to spare.
func (c *check) askAll(ctx context.Context, start []byte, served func(*replica) bool, answer func(r *replica, got []byte, same bool)) {
	var questions sync.WaitGroup
	for _, r := range c.replicas {
		if served(r) {
			answer(r, start, true)
			continue
		}
		if c.search.isCorrupt(r.name()) || !r.source.origin.Spare() {
			continue
		}
		questions.Go(func() {
			got, err := r.ask(ctx, segment.Range{End: int64(len(start))})
			if err == nil {
				answer(r, got, bytes.Equal(got, start))
			}
		})
	}
	questions.Wait()
}
