package segment

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter hands out permission to read bytes, at a rate shared by all who
// ask. A nil Limiter permits everything. It is safe for concurrent use.
//
// Permission is taken before bytes are read, so that the bytes read never
// exceed what the rate allows, from the first moment on; what was not used
// is given back.
type Limiter struct {
	bucket *rate.Limiter
	mu     sync.Mutex
	spare  int64 // given back, to be handed out first
}

// NewLimiter returns a Limiter of so many bytes a second; 0 is no limit.
func NewLimiter(bytesPerSecond int64) *Limiter {
	l := &Limiter{bucket: rate.NewLimiter(rate.Inf, 0)}
	l.Set(bytesPerSecond)
	return l
}

// Set changes the rate, also for calls of Take that wait; 0 is no limit.
func (l *Limiter) Set(bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.bucket.SetLimit(rate.Inf)
		return
	}
	// The bytes of half a tick: short enough to be read soon, long enough for a
	// timer to be exact.
	burst := int(max(1, min(float64(bytesPerSecond)*tickInterval.Seconds()/margin, blockSize)))
	l.bucket.SetBurst(burst)
	l.bucket.SetLimit(rate.Limit(bytesPerSecond))
	// A bucket starts full: no burst at the start.
	l.bucket.AllowN(time.Now(), int(l.bucket.Tokens()))
}

// Rate is the rate in bytes a second; 0 is no limit.
func (l *Limiter) Rate() int64 {
	if l.unlimited() {
		return 0
	}
	return int64(l.bucket.Limit())
}

// unlimited reports whether there is no limit at present.
func (l *Limiter) unlimited() bool { return l == nil || l.bucket.Limit() == rate.Inf }

// connections is how many connections should share the limit at first;
// math.MaxInt without a limit.
func (l *Limiter) connections() int {
	if l.unlimited() {
		return math.MaxInt
	}
	return max(1, int(l.bucket.Limit()/firstQuota))
}

// Take waits until bytes may be read, and returns how many: at most n, and
// at least 1. The error is that of ctx.
func (l *Limiter) Take(ctx context.Context, n int64) (int64, error) {
	if l.unlimited() {
		return n, ctx.Err()
	}
	if spare := l.takeSpare(n); spare > 0 {
		return spare, ctx.Err()
	}
	n = min(n, int64(l.bucket.Burst()))
	if err := l.bucket.WaitN(ctx, int(n)); err != nil {
		return 0, err
	}
	return n, nil
}

// Charge waits until n bytes may be read, or as many have been read before. The error is
// that of ctx.
func (l *Limiter) Charge(ctx context.Context, n int64) error {
	for n > 0 {
		taken, err := l.Take(ctx, n)
		if err != nil {
			return err
		}
		n -= taken
	}
	return nil
}

// putBack gives back permission for n bytes that were not read.
func (l *Limiter) putBack(n int64) {
	if l.unlimited() || n <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare += n
}

func (l *Limiter) takeSpare(n int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, l.spare)
	l.spare -= n
	return n
}
