package registrytest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// slack is how late the writers of a link may be and still catch up: timers
// and a busy machine wake them late, which must not make the link slower.
const slack = 50 * time.Millisecond

// pacer is a link of a rate. Its clock runs on without breaks while it has
// streams; a link that was idle starts without credit, so nothing comes in a
// burst.
type pacer struct {
	rate *atomic.Int64 // bytes a second; 0: no limit

	mu      sync.Mutex
	streams int
	next    time.Time // when the link is free
}

func (p *pacer) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.streams == 0 && p.next.Before(now) {
		p.next = now
	}
	p.streams++
}

func (p *pacer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams--
}

// quantum is how much of n bytes to send in one go: 4 ms of the rate.
func (p *pacer) quantum(n int) int {
	rate := p.rate.Load()
	if rate <= 0 {
		return n
	}
	return int(min(int64(n), max(256, min(rate/250, 32<<10))))
}

// wait returns when the link has carried n bytes more.
func (p *pacer) wait(ctx context.Context, n int) {
	pause(ctx, p.reserve(n))
}

func (p *pacer) reserve(n int) time.Duration {
	rate := p.rate.Load()
	if rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if earliest := now.Add(-slack); p.next.Before(earliest) {
		p.next = earliest
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return p.next.Sub(now)
}
