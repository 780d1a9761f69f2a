package segpull

import (
	"sync"

	"github.com/segpull/segpull/segment"
)

// Limits are rate limits in bytes a second: one for all traffic together, and
// one for each mirror. All of them hold at the same time, from the first byte on.
//
// Limits are safe for concurrent use. A change applies at once to the pulls that
// run, and several calls of Pull may share them. Make them with NewLimits.
type Limits struct {
	all     *segment.Limiter
	mu      sync.Mutex
	mirrors map[string]*segment.Limiter
}

// NewLimits returns a limit for all traffic together, in bytes a second; 0 or
// less is no limit. A mirror has the limit that Options.Config gives it, if any,
// until SetMirror changes it.
func NewLimits(bytesPerSecond int64) *Limits {
	return &Limits{all: segment.NewLimiter(bytesPerSecond), mirrors: make(map[string]*segment.Limiter)}
}

// Set changes the limit for all traffic together, in bytes a second; 0 or less
// is no limit.
func (l *Limits) Set(bytesPerSecond int64) { l.all.Set(bytesPerSecond) }

// Rate returns the limit for all traffic together, in bytes a second; 0 is no
// limit.
func (l *Limits) Rate() int64 { return l.all.Rate() }

// SetMirror changes the limit of the mirror with this name, as in
// SourceProgress.Name, in bytes a second; 0 or less is no limit. It takes
// precedence over the limit in Options.Config.
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
