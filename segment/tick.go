package segment

import (
	"container/heap"
	"time"
)

const (
	// sinkShare is the part of their time that tasks spend in a sink that is
	// slower than the sources, and fewConnections what each source needs then.
	sinkShare      = 0.3
	fewConnections = 2

	// patience is how long a body may be silent while others move, how long
	// nothing moves before a suspect is used, and how long a hold lasts at the
	// least.
	patience = 4 * time.Second
	// longPatience is how long a body may be silent when nothing at all moves:
	// connections of before a change of network often end without an error. It
	// is also how long an answer is overdue until it is asked for again, the
	// longest backoff, and how long a source that ignored a range is asked for
	// none.
	longPatience = 30 * time.Second
)

// tick is called at each tickInterval. It cancels tasks that have fallen
// silent, takes back what tasks would deliver too late, and reviews the number
// of connections.
func (s *scheduler) tick(now time.Time) {
	s.measure(now)
	for _, t := range append(running(nil), s.tasks...) {
		if s.stalled(t, now) {
			s.sources[t.source].fail(t.blob, outcome{kind: outcomeCut}, t.began, now, s.rng)
			t.stalled = t.silent(now)
			s.abandon(t)
			continue
		}
		if t.silent(now) > usualGap {
			t.finish = now.Add(seconds(s.eta(t, now)))
		}
		s.takeBack(t, now)
	}
	heap.Init(&s.tasks)
	full := s.sinkIsFull(now)
	s.sunk, s.ticked = 0, now
	for _, src := range s.sources {
		s.reviewSuspect(src, now)
		s.reviewAssigned(src, now)
		src.retryRanges(now)
		if full {
			src.target = min(src.target, max(src.target-1, fewConnections))
		}
		src.target = src.growth.step(src, s.served, now, !full && s.worthGrowing(src, now))
	}
	s.offerAll()
}

// measure sums up the rates of all sources.
func (s *scheduler) measure(now time.Time) {
	s.rate, s.bestConn, s.conns = 0, 0, 0
	for _, src := range s.sources {
		if src.off {
			continue
		}
		rate := src.meter.rate(now)
		s.rate += rate
		if now.Sub(src.meter.start) >= moment {
			src.best = max(src.best, rate)
		}
		if !src.assigned { // it is no measure for others, which have other blobs
			s.bestConn = max(s.bestConn, src.connRate(now))
			s.conns += src.allowed()
		}
	}
}

// sinkTime records how long the sink took for what a task brought.
func (s *scheduler) sinkTime(took time.Duration) { s.sunk += took }

// sinkIsFull reports whether the tasks wait for the sink. Then fewer connections
// bring as much, and cost both sides less.
func (s *scheduler) sinkIsFull(now time.Time) bool {
	since := now.Sub(s.ticked)
	return len(s.tasks) > 0 && s.sunk > time.Duration(sinkShare*float64(since)*float64(len(s.tasks)))
}

// worthGrowing reports whether more connections to src could matter: it uses all
// that it may, waits for no rate limit and in no queue, brings enough for a gain to
// count, and the fetch does not end before.
func (s *scheduler) worthGrowing(src *source, now time.Time) bool {
	return !s.endsSoon(src) && src.served > 0 && src.load() == src.allowed() && src.paused == 0 && !src.congested() &&
		src.meter.rate(now) >= trickle*s.rate
}

// endsSoon reports whether everything should end before new connections to src, if it
// is far, would bring what the others do: that takes a handshake and a slow start.
func (s *scheduler) endsSoon(src *source) bool {
	return src.far() && s.horizon() < many*margin*src.roundTrip.Seconds()
}

// stalled reports whether t has been silent for too long.
func (s *scheduler) stalled(t *task, now time.Time) bool {
	if t.revoked || t.paused {
		return false
	}
	if t.got == 0 {
		// Some mirrors wait for each MiB asked for before they answer, and some
		// proxies until they have all of a blob. They would begin again.
		wait := many*patience + margin*moment*time.Duration(t.asked.Len()/firstQuota)
		return s.movedElsewhere(t).Sub(t.moved) > wait
	}
	return s.moved.Sub(t.moved) > patience || t.silent(now) > longPatience
}

// movedElsewhere is when another source last brought something that could
// bring what t does not.
func (s *scheduler) movedElsewhere(t *task) (last time.Time) {
	for i, src := range s.sources {
		if i != t.source && src.mayHave(t.blob) && !s.barred(i, t.blob) {
			last = later(last, src.moved)
		}
	}
	return last
}

// overdue reports whether t has waited for its answer for much longer than its
// source usually takes: the answer may be lost.
func (s *scheduler) overdue(t *task, now time.Time) bool {
	src := s.sources[t.source]
	return t.got == 0 && src.latency.known && t.silent(now) > max(longPatience, many*src.latencyOr(0))
}

// pause records that t waits for a rate limit from now on, not for its source.
func (s *scheduler) pause(t *task) {
	t.paused = true
	s.sources[t.source].paused++
}

// resume records that t waits for its source again.
func (s *scheduler) resume(t *task, now time.Time) {
	t.paused, t.moved = false, now
	s.sources[t.source].paused--
	s.sources[t.source].resumed = now
}
