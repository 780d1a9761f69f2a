package verify

import (
	"context"
	"slices"
	"time"

	"github.com/segpull/segpull/segment"
)

const (
	// A break shows at most a block of the compression after the wrong byte:
	// 128 KiB in zstd (RFC 8878, 3.1.1.2.4), and about as much in what gzip
	// makes.
	firstBack = 128 << 10

	// A break in the last few bytes is that of a checksum, which does not say
	// where the wrong byte is.
	checksum = 64

	// decompressionLead is how much longer decompressing a blob may take than
	// fetching bytes of it once more.
	decompressionLead = 30 * time.Second
)

// splicing follows the breaks of a layer: the bytes before one are fetched from
// other sources too, and those that move the break on are used. So only about
// as much is fetched again as was wrong, and each of several corrupt sources
// may have sent other bytes right.
type splicing struct {
	check         *check
	over          overlay
	at            int64      // where the overlay breaks
	candidates    []*replica // in the order in which they are asked
	last          *replica   // whose bytes were used last
	ahead         int64      // how much beyond a break is fetched at least
	decompressing time.Duration
	fetching      time.Duration
}

func (c *check) splice(ctx context.Context) (right bool, err error) {
	return c.spliceFrom(ctx, c.candidates())
}

// spliceFrom returns true if it has repaired the blob. Else no source is
// excluded, and what was fetched helps later steps.
func (c *check) spliceFrom(ctx context.Context, candidates []*replica) (right bool, err error) {
	s := &splicing{check: c, over: c.stored(), candidates: candidates, ahead: window}
	if s.at, err = s.findBreak(ctx, s.over); err != nil {
		return false, err
	}
	for s.at < c.blob.Size()-checksum && s.decompressing < s.fetching+decompressionLead {
		if better, err := s.step(ctx); !better || err != nil {
			return false, err
		}
	}
	if len(s.over.used) == 0 {
		return false, nil
	}
	return s.over.prove(ctx)
}

// step looks for bytes that move the break on, or away.
func (s *splicing) step(ctx context.Context) (better bool, err error) {
	for _, r := range s.candidates {
		for back := int64(firstBack); ; back *= 2 {
			at := segment.Range{Start: max(0, s.at-back), End: min(s.at+s.ahead, s.check.blob.Size())}
			if better, err = s.try(ctx, r, at); better || err != nil {
				return better, err
			}
			if at.Start == 0 || back >= s.most() {
				break
			}
		}
	}
	return false, nil
}

// most is how much is fetched at once.
func (s *splicing) most() int64 { return max(window, min(s.check.blob.Size()/16, lastStep)) }

// try uses r's bytes of a range, if that moves the break on.
func (s *splicing) try(ctx context.Context, r *replica, at segment.Range) (better bool, err error) {
	over := s.over.clone()
	if ok, err := s.fetch(ctx, over, r, at); !ok || err != nil {
		return false, err
	}
	if differs, err := s.over.differs(ctx, over, at); !differs || err != nil {
		return false, err
	}
	if r == s.last {
		if err := s.widen(ctx, over, r, at.End); err != nil {
			return false, err
		}
	}
	next, err := s.findBreak(ctx, over)
	if err != nil || next <= s.at {
		return false, err
	}
	s.prefer(r)
	s.over, s.at = over, next
	return true, nil
}

// prefer asks r first from now on, and doubts whose bytes stood before the
// break. Where decompressing takes longer than fetching, it will be done less
// often.
func (s *splicing) prefer(r *replica) {
	if origin := s.over.origin(s.at - 1); origin != r.name() {
		s.check.doubted[origin] = true
	}
	s.last = r
	s.candidates = append([]*replica{r}, slices.DeleteFunc(slices.Clone(s.candidates), func(other *replica) bool { return other == r })...)
	if s.decompressing > s.fetching {
		s.ahead = min(2*s.ahead, s.most())
	}
}

// widen uses r's bytes from end on too, as long as they differ from what is
// there: wrong bytes come in a row.
func (s *splicing) widen(ctx context.Context, over overlay, r *replica, end int64) error {
	for step := int64(window); end < s.check.blob.Size(); step = min(2*step, s.most()) {
		differs, err := s.over.differs(ctx, over, segment.Range{Start: max(0, end-window), End: end})
		if !differs || err != nil {
			return err
		}
		next := segment.Range{Start: end, End: min(end+step, s.check.blob.Size())}
		if ok, err := s.fetch(ctx, over, r, next); !ok || err != nil {
			return err
		}
		end = next.End
	}
	return nil
}

// fetch uses r's bytes of a range in an overlay. It returns false if r is not
// available.
func (s *splicing) fetch(ctx context.Context, over overlay, r *replica, at segment.Range) (ok bool, err error) {
	began := time.Now()
	err = s.check.fetch(ctx, r, r.missing(at, at.Len()))
	s.fetching += time.Since(began)
	if unavailable(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	over.use(r, at)
	return true, nil
}

func (s *splicing) findBreak(ctx context.Context, over overlay) (int64, error) {
	began := time.Now()
	defer func() { s.decompressing += time.Since(began) }()
	return over.findBreak(ctx, s.check.blob.Size())
}
