package verify

import (
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

// longBudget is for so many bytes of a source that no other can stand in for.
func (s *Search) longBudget(src *source, bytes int64) segment.Budget {
	total := s.opts.GiveUpAfter + time.Duration(bytes/leastRate)*time.Second + 2*src.origin.LimitTime(bytes)
	return segment.Budget{Total: total, Idle: s.opts.GiveUpAfter}
}

// shortBudget is for a source beside others. What it has served, it did until
// some time.
func (s *Search) shortBudget(src *source, bytes int64, until time.Time) segment.Budget {
	perByte := float64(until.Sub(s.began)) / float64(max(1, src.origin.Served()))
	total := quickAnswer + time.Duration(min(slowdown*perByte*float64(bytes), float64(time.Hour)))
	long := s.longBudget(src, bytes)
	return segment.Budget{Total: min(total, long.Total), Idle: min(quickAnswer, long.Idle)}
}

// timedOutRecently reports whether the source exceeded its budget a moment ago.
func (s *source) timedOutRecently() bool {
	return time.Since(time.Unix(s.timedOut.Load(), 0)) < timeoutMemory
}
