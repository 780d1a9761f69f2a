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
	// nothing moves before a suspect is used all the same, and for how long a
	// blob is held at the least.
	patience = 4 * time.Second
	// headerPatience is how long an answer may take while others move.
	headerPatience = 15 * time.Second
	// longPatience is how long a body may be silent when nothing at all moves:
	// connections that survived a change of network are often dead without
	// knowing it. A request whose answer is overdue for so long is made again
	// beside, and no source is left alone for longer because it failed.
	longPatience = 30 * time.Second
)

// tick lets time pass: it takes tasks away from sources that have fallen
// silent, reviews the number of connections, and looks for tails to share
// out. Call it about ten times a second.
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
		src.retryRanges(now)
		if full {
			src.target = min(src.target, max(src.target-1, fewConnections))
		}
		src.target = src.growth.step(src, s.served, now, !full && s.worthGrowing(src, now))
	}
	s.offerAll()
}

// measure sums up what all sources are like.
func (s *scheduler) measure(now time.Time) {
	s.rate, s.bestConn, s.conns = 0, 0, 0
	for _, src := range s.sources {
		if src.off {
			continue
		}
		rate := src.meter.rate(now)
		s.rate += rate
		s.bestConn = max(s.bestConn, src.connRate(now))
		s.conns += src.allowed()
	}
}

// sinkTime says that the sink took so long for what a task brought.
func (s *scheduler) sinkTime(took time.Duration) { s.sunk += took }

// sinkIsFull says whether it is the sink that the tasks wait for. Then fewer
// connections bring as much, and cost both sides less.
func (s *scheduler) sinkIsFull(now time.Time) bool {
	since := now.Sub(s.ticked)
	return len(s.tasks) > 0 && s.sunk > time.Duration(sinkShare*float64(since)*float64(len(s.tasks)))
}

// worthGrowing says whether more connections to src could matter: it uses just
// those it may, no limit holds it back, and it brings enough for a gain to be
// felt.
func (s *scheduler) worthGrowing(src *source, now time.Time) bool {
	return src.served > 0 && src.load() == src.allowed() && src.paused == 0 &&
		src.meter.rate(now) >= growthShare*s.rate
}

// stalled says whether t is to be taken away from its source.
func (s *scheduler) stalled(t *task, now time.Time) bool {
	if t.revoked || t.paused {
		return false
	}
	if t.got == 0 {
		// Some mirrors wait for each MiB asked for before they answer, and some
		// proxies until they have all of a blob. They would only begin again.
		wait := headerPatience + 2*time.Second*time.Duration(t.asked.Len()>>20)
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

// overdue says whether t waits for its answer for much longer than its source
// takes otherwise. What it waits for may be lost, so it is asked for a second
// time.
func (s *scheduler) overdue(t *task, now time.Time) bool {
	src := s.sources[t.source]
	return t.got == 0 && src.latency.known && t.silent(now) > max(longPatience, many*src.latencyOr(0))
}

// pause says that t waits for a rate limit from now on, which is not its
// source's doing.
func (s *scheduler) pause(t *task) {
	t.paused = true
	s.sources[t.source].paused++
}

// resume says that t waits for its source again.
func (s *scheduler) resume(t *task, now time.Time) {
	t.paused, t.moved = false, now
	s.sources[t.source].paused--
}
