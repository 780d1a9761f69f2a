package segment

import (
	"container/heap"
	"math"
	"time"
)

const (
	// quotaFactor is the part of its fair share of the rest that a connection
	// takes at once; what it leaves evens out wrong estimates.
	quotaFactor = 0.5
	// firstQuota is what a connection takes while its rate is not known.
	firstQuota = 1 << 20
	// stealLook is how many of the last tasks to finish are looked at for one
	// that a source can help.
	stealLook = 7
	// hedgeBudget is the part of all bytes that may come twice before no more
	// is asked for twice, and mostHedge the most at once: more is split.
	hedgeBudget = 0.02
	mostHedge   = 512 << 10

	// leastSaving is how many seconds earlier a task has to end for a split.
	leastSaving = 0.1
	// limitMemory is how long the common limit counts as reached after it was.
	limitMemory = time.Second
	// usualGap is, in seconds, a silence in a body that means nothing.
	usualGap = 0.5
	// sinkShare is the part of their time that tasks spend in a sink that is
	// slower than the sources, and fewConnections what each source needs then.
	sinkShare      = 0.3
	fewConnections = 2
	// trimAfter is how long a request has to show what it brings.
	trimAfter = time.Second

	// A task that is silent is taken away once others have moved for so long,
	bodyPatience   = 4 * time.Second
	headerPatience = 15 * time.Second
	// or in the middle of a body when nothing at all has moved for so long:
	// connections that survived a change of network are often dead without
	// knowing it. One whose answer is overdue for so long is made again beside.
	deadPatience = 30 * time.Second
)

// minRequest is how many bytes are worth a request to src: those of a second, or of
// a few round trips.
func (s *Scheduler) minRequest(src *source, now time.Time) int64 {
	bytes := s.rateOf(src, now) * max(1, 4*(src.latency.value+src.pause.value))
	return int64(min(max(bytes, grain), minSplit))
}

// quota is how many bytes one connection of src should take at once, so that
// all sources finish together: what it can fetch in the time that is left.
func (s *Scheduler) quota(src *source, now time.Time) int64 {
	left := float64(s.Left())
	if src.connRate(now) == 0 || s.rate == 0 {
		return max(minSplit, min(firstQuota, int64(left)/int64(2*max(1, s.conns))))
	}
	seconds := quotaFactor * (left/s.rate - src.latency.value)
	if src.requestSize == s.segment {
		seconds = min(seconds, max(src.growth.longest(), 4*src.pause.value))
	}
	return max(s.minRequest(src, now), int64(s.rateOf(src, now)*seconds))
}

// tooSlow says whether even the least that is worth a request would keep src
// busy for longer than the rest should take, and there is a source that is
// much faster.
func (s *Scheduler) tooSlow(src *source, now time.Time) bool {
	rate := src.connRate(now)
	if src.served == 0 || rate == 0 || s.rate == 0 || rate > s.bestConn/2 {
		return false
	}
	return src.latency.value+float64(s.minRequest(src, now))/rate > 2*float64(s.Left())/s.rate
}

// steal finds work for source i where every byte is already being fetched: the
// end of the range of a task that is expected to finish late, or all of it a
// second time where it can't be split.
func (s *Scheduler) steal(i int, now time.Time) *Task {
	src := s.sources[i]
	if !src.mayRange() || s.tooSlow(src, now) {
		return nil
	}
	// The last to finish are at the front of the heap, though not in order.
	for _, victim := range s.tasks[:min(stealLook, len(s.tasks))] {
		if !s.mayHelp(i, victim, now) {
			continue
		}
		if t := s.split(i, victim, now); t != nil {
			return t
		}
		if t := s.double(i, victim, now); t != nil {
			return t
		}
	}
	return nil
}

// mayHelp says whether source i could fetch what victim has left. A source
// helps itself only where more connections bring more, or one of its own is
// far slower than the others.
func (s *Scheduler) mayHelp(i int, victim *Task, now time.Time) bool {
	src := s.sources[i]
	switch {
	case victim.rest.Empty(), victim.whole, src.lacks[victim.Blob], s.barred(i, victim.Blob):
		return false
	case victim.twin != nil && (victim.Source == i || victim.twin.Source == i):
		return false
	case now.Sub(s.limited) < limitMemory && victim.silent(now) < limitMemory:
		return false // the limit is what is slow
	case victim.Source != i || src.growth.scales || s.overdue(victim, now):
		return true
	}
	rate := s.rateOf(src, now)
	return victim.rate(now, rate, src.grace()) < rate/4 && victim.silent(now) > time.Second
}

// split moves the end of victim's range to source i, so that both finish at
// the same time, if that saves clearly more than a request costs.
func (s *Scheduler) split(i int, victim *Task, now time.Time) *Task {
	if victim.twin != nil {
		return nil
	}
	src := s.sources[i]
	latency := src.latencyOr(s.defaultLatency).Seconds()
	mine := s.rateOf(src, now)
	theirs := max(1, s.pace(victim, now))
	rest := float64(victim.rest.Len())

	moved := int64((rest/theirs - latency) * mine * theirs / (mine + theirs))
	moved = min(moved, victim.rest.Len()-grain) / grain * grain
	if saved := float64(moved) / theirs; moved < grain || saved < max(latency, leastSaving) {
		return nil
	}
	r := Range{victim.rest.End - moved, victim.rest.End}
	victim.rest.End = r.Start
	s.expect(victim, now)
	return &Task{Source: i, Blob: victim.Blob, Asked: r, rest: r}
}

// double has source i fetch all that victim has left a second time, if it is
// likely to finish in half the time, within the budget for that; one that has
// fallen silent costs none, since its bytes are unlikely to come.
func (s *Scheduler) double(i int, victim *Task, now time.Time) *Task {
	src := s.sources[i]
	rest := victim.rest.Len()
	spent := float64(s.doubled) > hedgeBudget*float64(s.total)+2*minSplit
	if rest > mostHedge && !s.overdue(victim, now) || spent && victim.silent(now) < bodyPatience/2 {
		return nil
	}
	latency := src.latencyOr(s.defaultLatency).Seconds()
	mine := latency + float64(rest)/s.rateOf(src, now)
	theirs := s.finish(victim, now).Sub(now).Seconds()
	if theirs < 2*mine || theirs-mine < latency {
		return nil
	}
	victim = s.unpair(victim)
	t := &Task{Source: i, Blob: victim.Blob, Asked: victim.rest, rest: victim.rest, twin: victim, hedge: true, extra: rest}
	victim.twin = t
	s.doubled += t.extra // until it is known better
	return t
}

// unpair gives up the second of two twins, which are both late, and returns the
// first.
func (s *Scheduler) unpair(t *Task) *Task {
	if t.twin == nil {
		return t
	}
	hedge, first := t, t.twin
	if first.hedge {
		hedge, first = first, hedge
	}
	s.abandon(hedge)
	return first
}

// timeLeft is how many seconds t is likely to need from now on. What has been
// silent for longer than is usual is likely to be so for as long again.
func (s *Scheduler) timeLeft(t *Task, now time.Time) float64 {
	src := s.sources[t.Source]
	wait, silent := 0.0, t.silent(now).Seconds()
	switch {
	case t.opened.IsZero():
		wait = math.Abs(src.latencyOr(s.defaultLatency).Seconds() - silent)
	case t.got < minProgress && src.pause.value > usualGap:
		wait = math.Abs(src.pause.value - silent)
	default:
		wait = max(0, silent-usualGap)
	}
	return wait + float64(t.rest.Len())/max(1, t.rate(now, s.rateOf(src, now), src.grace()))
}

// pace is the bytes a second with which t would be done in its timeLeft.
func (s *Scheduler) pace(t *Task, now time.Time) float64 {
	return float64(t.rest.Len()) / max(1e-3, s.timeLeft(t, now))
}

// Tick lets time pass: it takes tasks away from sources that have fallen
// silent, reviews the number of connections, and looks for tails to share
// out. Call it about ten times a second.
func (s *Scheduler) Tick(now time.Time) {
	s.measure(now)
	for _, t := range append(running(nil), s.tasks...) {
		if s.stalled(t, now) {
			s.sources[t.Source].fail(t.Blob, Outcome{Kind: Cut}, t.began, now, s.rng)
			t.stalled = t.silent(now)
			s.abandon(t)
			continue
		}
		if t.silent(now) > time.Second/2 {
			t.finish = s.finish(t, now)
		}
		s.trim(t, now)
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

// SinkTime says that the sink took so long for what a task brought.
func (s *Scheduler) SinkTime(took time.Duration) { s.sunk += took }

// sinkIsFull says whether it is the sink that the tasks wait for. Then fewer
// connections bring as much, and cost both sides less.
func (s *Scheduler) sinkIsFull(now time.Time) bool {
	since := now.Sub(s.ticked)
	return len(s.tasks) > 0 && s.sunk > time.Duration(sinkShare*float64(since)*float64(len(s.tasks)))
}

// worthGrowing says whether more connections to src could matter: it uses just
// those it may, there is work for more, no limit holds it back, and it brings
// enough for a gain to be felt.
func (s *Scheduler) worthGrowing(src *source, now time.Time) bool {
	return s.free > 0 && src.served > 0 && src.load() == src.allowed() && src.paused == 0 &&
		now.Sub(s.limited) >= limitMemory && src.meter.rate(now) >= growthShare*s.rate
}

// trim gives back the end of a range that t will not get to before all else is
// done: a source may have become slow, or was asked before it was known.
func (s *Scheduler) trim(t *Task, now time.Time) {
	if s.rate == 0 || t.whole || t.twin != nil || t.revoked || now.Sub(t.began) < trimAfter {
		return
	}
	timeLeft := float64(s.Left()) / s.rate
	keep := max(s.minRequest(s.sources[t.Source], now), int64(timeLeft*s.pace(t, now)))
	keep = (keep + grain - 1) / grain * grain
	if t.rest.Len() < 2*keep {
		return
	}
	r := Range{t.rest.Start + keep, t.rest.End}
	t.rest.End = r.Start
	s.inFlight -= r.Len()
	s.giveBack(t.Blob, r)
	s.expect(t, now)
}

// measure sums up what all sources are like.
func (s *Scheduler) measure(now time.Time) {
	s.rate, s.bestConn, s.conns = 0, 0, 0
	s.defaultLatency = time.Second
	for _, src := range s.sources {
		if src.off {
			continue
		}
		rate := src.meter.rate(now)
		s.rate += rate
		s.bestConn = max(s.bestConn, src.connRate(now))
		s.conns += src.allowed()
		if src.latency.known {
			s.defaultLatency = min(s.defaultLatency, 4*src.latencyOr(0)+100*time.Millisecond)
		}
	}
}

// stalled says whether t is to be taken away from its source.
func (s *Scheduler) stalled(t *Task, now time.Time) bool {
	if t.revoked || t.paused {
		return false
	}
	long := 4 * s.sources[t.Source].latencyOr(0)
	if t.got == 0 {
		// Some mirrors wait for each MiB asked for before they answer, and some
		// proxies until they have all of a blob. They would only begin again.
		patience := headerPatience + 2*time.Second*time.Duration(t.Asked.Len()>>20)
		return s.movedElsewhere(t).Sub(t.moved) > max(patience, long)
	}
	return s.moved.Sub(t.moved) > max(bodyPatience, long) || t.silent(now) > max(deadPatience, long)
}

// movedElsewhere is when another source last brought something that could
// bring what t does not.
func (s *Scheduler) movedElsewhere(t *Task) (last time.Time) {
	for i, src := range s.sources {
		if i != t.Source && src.mayHave(t.Blob) && !s.barred(i, t.Blob) {
			last = later(last, src.moved)
		}
	}
	return last
}

// overdue says whether t waits for its answer for much longer than its source
// takes otherwise. What it waits for may be lost, so it is asked for a second
// time.
func (s *Scheduler) overdue(t *Task, now time.Time) bool {
	src := s.sources[t.Source]
	return t.got == 0 && src.latency.known && t.silent(now) > max(deadPatience, 4*src.latencyOr(0))
}

// Pause says that t waits for a rate limit from now on, which is not its
// source's doing; dry, that the limit of all sources together is used up.
func (s *Scheduler) Pause(t *Task, dry bool, now time.Time) {
	t.paused = true
	s.sources[t.Source].paused++
	s.limit(dry, now)
}

// Resume says that t waits for its source again.
func (s *Scheduler) Resume(t *Task, dry bool, now time.Time) {
	t.paused, t.moved = false, now
	s.sources[t.Source].paused--
	s.limit(dry, now)
}

func (s *Scheduler) limit(dry bool, now time.Time) {
	if dry {
		s.limited = now
	}
}
