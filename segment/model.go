package segment

import (
	"math"
	"time"
)

// The numbers that every decision compares: what a request costs, when a
// request is expected to end, and when everything should end.

const (
	// usualGap is a silence in a body that means nothing.
	usualGap = time.Second / 2
	// moment is how long it takes for a rate to show, and what an unknown source
	// may take to answer.
	moment = time.Second
	// longRequest is the most time that a request should take.
	longRequest = 8 * time.Second
	// margin is the factor by which estimates are often wrong: a request takes a
	// margin less than the time that is left, and a change has to gain a margin.
	margin = 2
	// trickle is the part of a whole that is too little to matter.
	trickle = 0.08
	// firstQuota is what a connection takes while its rate is not known, and
	// what it may bring in a second while nothing is known of any.
	firstQuota = 1 << 20
	// many is how many times something has to exceed what is usual to mean
	// something.
	many = 3
)

// cost is how many seconds src is likely to need for n bytes.
func (s *scheduler) cost(src *source, n int64, now time.Time) float64 {
	return src.latencyOr(moment).Seconds() + float64(n)/s.rateOf(src, now)
}

// horizon is in how many seconds everything should end, if all sources bring
// what they do now.
func (s *scheduler) horizon() float64 {
	if s.rate == 0 {
		return math.Inf(1)
	}
	return float64(s.left()) / s.rate
}

// eta is in how many seconds the bytes that t has yet to fetch are likely to
// be there, fetched by it or by its twin.
func (s *scheduler) eta(t *task, now time.Time) float64 {
	left := s.timeLeft(t, now)
	if t.twin != nil {
		left = min(left, s.timeLeft(t.twin, now))
	}
	return left
}

// timeLeft is how many seconds t is likely to need from now on. What has been
// silent for longer than is usual is likely to be so for as long again.
func (s *scheduler) timeLeft(t *task, now time.Time) float64 {
	src := s.sources[t.source]
	var wait float64
	silent := t.silent(now).Seconds()
	switch {
	case t.opened.IsZero():
		wait = math.Abs(src.latencyOr(moment).Seconds() - silent)
	case t.got < src.grain() && src.delay.value > usualGap.Seconds():
		wait = math.Abs(src.delay.value - silent)
	default:
		wait = max(0, silent-usualGap.Seconds())
	}
	return wait + s.timeFor(t, t.rest.Len(), now)
}

// timeFor is how many seconds t takes for n bytes while they flow.
func (s *scheduler) timeFor(t *task, n int64, now time.Time) float64 {
	src := s.sources[t.source]
	return float64(n) / max(1, t.rate(now, s.rateOf(src, now), src))
}

// rateOf is what one connection of src may bring, in bytes a second; never 0.
func (s *scheduler) rateOf(src *source, now time.Time) float64 {
	if r := src.connRate(now); r > 0 {
		return r
	}
	if n := len(s.tasks); n > 0 && s.rate > 0 {
		return s.rate / float64(n)
	}
	return firstQuota
}

func seconds(s float64) time.Duration {
	return time.Duration(math.Min(s, math.MaxInt32) * float64(time.Second))
}
