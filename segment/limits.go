package segment

import "sync"

// Limits are rate limits in bytes a second: one for all traffic together, and
// one for each mirror. All of them hold at the same time, from the first byte on.
//
// Limits are safe for concurrent use. A change applies at once to the pulls that
// run, and several calls may share them. Make them with NewLimits.
type Limits struct {
	all *Limiter

	mu      sync.Mutex // guards what follows
	mirrors map[string]*Limiter
}

// NewLimits returns a limit for all traffic together, in bytes a second; 0 or
// less is no limit. A mirror has the limit that the configuration gives it, if any,
// until SetMirror changes it.
func NewLimits(bytesPerSecond int64) *Limits {
	return &Limits{all: NewLimiter(bytesPerSecond), mirrors: make(map[string]*Limiter)}
}

// Set changes the limit for all traffic together, in bytes a second; 0 or less
// is no limit.
func (l *Limits) Set(bytesPerSecond int64) { l.all.Set(bytesPerSecond) }

// Rate returns the limit for all traffic together, in bytes a second; 0 is no
// limit.
func (l *Limits) Rate() int64 { return l.all.Rate() }

// SetMirror changes the limit of the mirror with this name, as
// configurations and messages have it, in bytes a second; 0 or less is no limit. It takes
// precedence over the limit in the configuration.
func (l *Limits) SetMirror(name string, bytesPerSecond int64) {
	l.Mirror(name, bytesPerSecond).Set(bytesPerSecond)
}

// Window is how many bytes a connection may receive unread under the limit: few
// enough that the bytes in transit hardly exceed it. 0: the system decides.
func (l *Limits) Window() int {
	if rate := l.Rate(); rate > 0 {
		return int(min(max(rate/64, 16<<10), 1<<20))
	}
	return 0
}

// All returns the limiter of all traffic together.
func (l *Limits) All() *Limiter { return l.all }

// Mirror returns the limiter of a mirror, and makes it with this rate if it is
// new.
func (l *Limits) Mirror(name string, bytesPerSecond int64) *Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.mirrors[name]
	if limiter == nil {
		limiter = NewLimiter(bytesPerSecond)
		l.mirrors[name] = limiter
	}
	return limiter
}
