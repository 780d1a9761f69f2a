package segment

import (
	"slices"
	"time"
)

// What the Fetch reports of its tasks, and what follows from it.

// opened is called when the headers of t's answer have come. Its body is the
// bytes got: those asked for, or the first of them, or the whole blob. It
// reports whether the body is of use; if not, the caller ends the task.
func (s *scheduler) opened(t *task, got Range, now time.Time) bool {
	src := s.sources[t.source]
	src.latency.add(now.Sub(t.sent).Seconds())
	src.answers++
	src.ration.grant(t.began, now)
	if src.ration.known && s.scarce(src, now) {
		src.ration.hurry(now)
	}
	src.peak = max(src.peak, src.answers)
	t.opened, t.moved = now, now
	t.meter.begin(now)
	if got.Start == t.asked.Start && got.End <= t.asked.End {
		if got.End < t.rest.End && t.twin != nil {
			return false // the other twin continues alone
		}
		if s.noRace && t.twin != nil {
			s.abandon(t.twin)
		}
		if src.probe == t {
			src.ranges, src.probe = rangesServed, nil
			s.offer(t.source)
		}
		s.shorten(t, got.End)
		if t.whole {
			s.makeWay(t)
		}
		return true
	}
	if src.ranges != rangesIgnored { // of many such answers at the same time, one counts
		src.ranges, src.rangesAgain = rangesIgnored, now.Add(longPatience)
	}
	bl := &s.blobs[t.blob]
	if got.Start != 0 || bl.stream != nil || t.twin != nil {
		return false
	}
	if bl.free.Len()+t.rest.Len() < bl.size && s.leavesOut(t.source, t.blob, now) {
		return false
	}
	s.inFlight -= t.rest.Len()
	s.giveBack(t.blob, t.rest)
	t.rest, t.whole, bl.stream = got, true, t
	s.makeWay(t)
	return true
}

// shorten frees the bytes of t that its source leaves out of its answer.
func (s *scheduler) shorten(t *task, end int64) {
	if t.rest.End <= end {
		return
	}
	left := Range{max(end, t.rest.Start), t.rest.End}
	t.rest.End = left.Start
	if !t.whole {
		s.inFlight -= left.Len()
		s.giveBack(t.blob, left)
	}
}

// makeWay cancels what other sources have begun to fetch of the blob of the
// stream t, which will send that too: they fetch the blob from its end instead.
// They do not do so again for the next stream if this one breaks off.
func (s *scheduler) makeWay(t *task) {
	src := s.sources[t.source]
	if src.streamed[t.blob] {
		return
	}
	src.streamed[t.blob] = true
	s.abandonAll(func(o *task) bool {
		return o.blob == t.blob && o != t && o.twin == nil
	})
}

// advance is called when n bytes of t have come. It returns how many more of its
// bytes are wanted; at 0 the caller ends the task.
func (s *scheduler) advance(t *task, n int64, now time.Time) int64 {
	src := s.sources[t.source]
	src.meter.add(n, now)
	src.served += n
	s.served += n
	t.meter.add(n, now)
	flow(src, t, n, now)
	t.got += n
	t.moved = now
	// Its end may have been taken back while these bytes came.
	n = min(n, t.rest.Len())
	came := Range{t.rest.Start, t.rest.Start + n}
	t.rest.Start = came.End
	news := n
	switch {
	case t.whole:
		s.overtake(t, came, now)
		news = s.claim(t.blob, came)
		t.rest.End = s.streamEnd(t, now)
	case !t.hedge:
		s.inFlight -= n
	}
	s.count(t, news, now)
	s.setFinish(t, now)
	return t.rest.Len()
}

// count records that bytes of t came that were not there before. A stream begins
// with what is there; a source whose streams always break off in that makes no
// progress.
func (s *scheduler) count(t *task, news int64, now time.Time) {
	src := s.sources[t.source]
	t.news += news
	s.gain.add(news, now)
	if t.noProgress() && src.noProgress >= strikes {
		return
	}
	s.moved, src.moved = now, now
	if news > 0 {
		delete(src.rejections, t.blob)
	}
	if t.got >= src.grain() && !t.noProgress() {
		src.failures, src.refusals, src.noProgress = 0, 0, 0
	}
}

// flow learns for how long the bodies of a source pause after their first bytes.
func flow(src *source, t *task, n int64, now time.Time) {
	if t.got >= src.grain() {
		return
	}
	if silent := t.silent(now).Seconds(); silent > usualGap.Seconds() {
		t.delay += silent
	}
	if t.got+n >= src.grain() {
		src.delay.add(t.delay)
		if t.delay > 0 {
			t.meter = meter{}
			t.meter.begin(now)
		}
	}
}

// streamEnd is where the stream t is of no more use: beyond it nothing is missing;
// with NoRace, what comes next is there or on its way.
func (s *scheduler) streamEnd(t *task, now time.Time) int64 {
	switch {
	case !s.wantedAbove(t):
		return t.rest.Start
	case !s.leavesOut(t.source, t.blob, now):
		return t.rest.End
	}
	if free := s.blobs[t.blob].free.Within(t.rest); len(free) > 0 && free[0].Start == t.rest.Start {
		return free[0].End
	}
	return t.rest.Start
}

// wantedAbove reports whether bytes of its blob beyond the stream t are missing.
func (s *scheduler) wantedAbove(t *task) bool {
	bl := &s.blobs[t.blob]
	if bl.free.Len() > 0 && bl.free.last().End > t.rest.Start {
		return true
	}
	return slices.ContainsFunc(s.tasks, func(o *task) bool {
		return o != t && o.blob == t.blob && o.rest.End > t.rest.Start
	})
}

// setFinish sets when t is likely to be done.
func (s *scheduler) setFinish(t *task, now time.Time) {
	if t.index < 0 {
		return
	}
	t.finish = now.Add(seconds(s.eta(t, now)))
	s.tasks.fix(t)
}

// end is called when t is over. What it did not fetch is free again.
func (s *scheduler) end(t *task, why outcome, now time.Time) {
	src := s.sources[t.source]
	src.active--
	src.small -= s.small(t)
	s.tasks.drop(t)
	if t.opened.IsZero() {
		src.waited = max(src.waited, now.Sub(t.sent))
		src.ration.lose(t.began)
	} else {
		src.answers--
	}
	if src.probe == t {
		src.probe = nil
	}
	if t.got >= src.grain() {
		src.perConn.add(float64(t.got) / max(now.Sub(t.opened), time.Millisecond).Seconds())
	}
	s.returnRest(t)
	if t.noProgress() {
		src.noProgress++
	}
	if why.kind != outcomeDone && !t.revoked && (t.noProgress() || !(why.kind == outcomeCut && t.got >= src.grain())) {
		src.fail(t.blob, why, t.began, now, s.rng)
	}
	s.offer(t.source)
}

// lacks reports whether a source can't be asked for a blob: it does not have
// it, or serves us nothing any more.
func (s *scheduler) lacks(source, blob int) bool { return !s.sources[source].mayHave(blob) }

// abandonAll cancels the tasks that which picks.
func (s *scheduler) abandonAll(which func(*task) bool) {
	for _, t := range s.tasks { // which stay in it until they end
		if !t.revoked && which(t) {
			s.abandon(t)
		}
	}
}

// returnRest frees what t did not fetch, unless its twin fetches it.
func (s *scheduler) returnRest(t *task) {
	switch {
	case t.twin != nil:
		s.part(t)
	case t.whole:
		s.blobs[t.blob].stream = nil
	default:
		s.inFlight -= t.rest.Len()
		s.giveBack(t.blob, t.rest)
	}
	s.offerIdle()
}

// part separates t, which is over, from its twin: one that fetched all leaves
// nothing to the other, one that did not leaves everything to it. The twin
// began where t stood then or before, so it covers what t lacks.
func (s *scheduler) part(t *task) {
	twin := t.twin
	t.twin, twin.twin = nil, nil
	s.doubled += max(0, min(t.rest.Start, twin.rest.Start)-max(t.asked.Start, twin.asked.Start)) - t.extra - twin.extra
	t.extra, twin.extra = 0, 0
	if !t.hedge {
		s.inFlight += twin.rest.Len() - t.rest.Len()
		twin.hedge = false
	}
	if t.rest.Empty() {
		s.revoke(twin)
	}
}

// revoke takes away from t what it has not fetched, and lists it for the Fetch
// to cancel.
func (s *scheduler) revoke(t *task) {
	s.unread += s.onItsWay(t)
	s.inFlight -= t.rest.Len()
	t.rest.End = t.rest.Start
	t.revoked = true
	s.revoked = append(s.revoked, t)
}

// onItsWay is how many bytes of t are between its source and here: they come,
// whatever becomes of t.
func (s *scheduler) onItsWay(t *task) int64 {
	return int64(min(float64(t.rest.Len()), t.meter.rate(t.moved)*s.sources[t.source].latency.value))
}

// abandon cancels t and frees its bytes.
func (s *scheduler) abandon(t *task) {
	s.returnRest(t)
	s.inFlight += t.rest.Len() // revoke takes it off again
	t.whole = false
	s.revoke(t)
}

// takeRevoked returns the tasks that were taken away from their sources since
// the last call. The caller cancels them and ends them as outcomeDone.
func (s *scheduler) takeRevoked() []*task {
	r := s.revoked
	s.revoked = nil
	return r
}
