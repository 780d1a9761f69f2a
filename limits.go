package segpull

import (
	"sync"

	"github.com/segpull/segpull/segment"
)

// Limits are the rate limits of a pull, which may be changed while it runs:
// one for all traffic together, and one for each mirror, by its name. All of
// them hold at once. It is safe for concurrent use.
type Limits struct {
	all     *segment.Limiter
	mu      sync.Mutex
	mirrors map[string]*segment.Limiter
}

// NewLimits returns limits for all traffic together, in bytes a second, and
// none for any mirror. 0: no limit.
func NewLimits(bytesPerSecond int64) *Limits {
	return &Limits{all: segment.NewLimiter(bytesPerSecond), mirrors: make(map[string]*segment.Limiter)}
}

// Set changes the limit for all traffic together. 0: no limit.
func (l *Limits) Set(bytesPerSecond int64) { l.all.Set(bytesPerSecond) }

// Rate is the limit for all traffic together. 0: no limit.
func (l *Limits) Rate() int64 { return l.all.Rate() }

// SetMirror changes the limit of one mirror. 0: no limit.
func (l *Limits) SetMirror(name string, bytesPerSecond int64) {
	l.mirror(name, bytesPerSecond).Set(bytesPerSecond)
}

// window is how many bytes a connection may receive unread under the limit: few
// enough that the bytes in transit hardly exceed it. 0: the system decides.
func (l *Limits) window() int {
	if rate := l.Rate(); rate > 0 {
		return int(min(max(rate/64, 16<<10), 1<<20))
	}
	return 0
}

// mirror returns the limiter of a mirror, and makes it with this rate if it is
// new.
func (l *Limits) mirror(name string, bytesPerSecond int64) *segment.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.mirrors[name]
	if limiter == nil {
		limiter = segment.NewLimiter(bytesPerSecond)
		l.mirrors[name] = limiter
	}
	return limiter
}
