package fleetsim

import (
	"context"
	"time"
)

// clock calls functions at their times, and at the same time in the order in which they
// were given. container/heap would allocate for each of them.
type clock struct {
	now    time.Duration
	events []event // a heap, the earliest one first
	given  uint64
}

type event struct {
	at     time.Duration
	number uint64
	call   func()
}

func (e event) before(other event) bool {
	return e.at < other.at || e.at == other.at && e.number < other.number
}

// at lets run call a function at a time.
func (c *clock) at(at time.Duration, call func()) {
	c.given++
	e := event{at, c.given, call}
	i := len(c.events)
	c.events = append(c.events, e)
	for i > 0 && e.before(c.events[(i-1)/2]) {
		c.events[i] = c.events[(i-1)/2]
		i = (i - 1) / 2
	}
	c.events[i] = e
}

// run calls all functions, also those that they give, until ctx ends.
func (c *clock) run(ctx context.Context) error {
	for n := 0; len(c.events) > 0; n++ {
		if n%(1<<16) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := c.pop()
		c.now = e.at
		e.call()
	}
	return nil
}

func (c *clock) pop() event {
	first, n := c.events[0], len(c.events)-1
	last := c.events[n]
	c.events[n] = event{}
	c.events = c.events[:n]
	i := 0
	for {
		child := 2*i + 1
		if child+1 < n && c.events[child+1].before(c.events[child]) {
			child++
		}
		if child >= n || !c.events[child].before(last) {
			break
		}
		c.events[i] = c.events[child]
		i = child
	}
	if n > 0 {
		c.events[i] = last
	}
	return first
}

// line sends pieces one after the other.
type line struct {
	rate    float64 // bytes a second; 0: no limit
	free    time.Duration
	sent    int64
	minutes []int64 // bytes sent in each
}

// send returns when a piece that comes now has been sent.
func (l *line) send(now time.Duration, n int64) time.Duration {
	l.free = max(l.free, now) + duration(n, l.rate)
	l.sent += n
	for minute := int(l.free / time.Minute); minute >= len(l.minutes); {
		l.minutes = append(l.minutes, 0)
	}
	l.minutes[l.free/time.Minute] += n
	return l.free
}

// busiest is the most bytes a second of a minute.
func (l *line) busiest() (rate float64) {
	for _, n := range l.minutes {
		rate = max(rate, float64(n)/time.Minute.Seconds())
	}
	return rate
}
