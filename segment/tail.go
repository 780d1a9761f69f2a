package segment

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// raceBudget is the part of all bytes that may come twice, beside those of
	// two small requests.
	raceBudget = 0.02
)

// minRequest is how many bytes are worth a request to src: those of a second, and no
// fewer than minSplit or what comes in twice the time of an answer. If requests were
// smaller, all connections would often wait for answers at the same time.
func (s *scheduler) minRequest(src *source, now time.Time) int64 {
	rate := s.rateOf(src, now)
	return max(src.grain(), int64(min(rate, max(minSplit, margin*src.latency.value*rate))))
}

// quota is how many bytes one connection of src should take at once, so that
// all sources finish together: what it can fetch in a part of the time that is
// left. While no rate is known, that is half of an equal share of what is left. Of a
// far source, the first request takes two thirds of a share, the last one a sixth: if
// all ended at the same time, the link would be idle for a round trip.
func (s *scheduler) quota(src *source, now time.Time) int64 {
	if src.connRate(now) == 0 || s.rate == 0 {
		conns, part := float64(max(1, s.conns)), 1.0/margin
		if src.far() {
			part = float64(margin)/many - part*float64(len(s.tasks))/conns
		}
		return max(minSplit/margin, min(firstQuota, int64(part*float64(s.left())/conns)))
	}
	seconds := (s.horizon() - src.latency.value) / margin
	seconds = min(seconds, max(src.growth.longest().Seconds(), many*src.delay.value))
	return max(s.minRequest(src, now), int64(min(s.rateOf(src, now)*seconds, float64(s.left()))))
}

// delivery is how the free bytes come from a source: from begin on, in seconds from now, rate
// bytes a second.
type delivery struct{ begin, rate float64 }

// share is how many of the free bytes source i should fetch, so that all sources end at
// the same time: what it brings until then after what it is asked for already, but not
// before it can answer. There is no bound long before the end, while its rate is not known,
// at a store, which has blobs of its own, or at a far source, of which each connection
// brings the same, however few there are.
func (s *scheduler) share(i int, now time.Time) int64 {
	src := s.sources[i]
	if s.horizon() > longRequest.Seconds() || src.assigned || src.far() || src.meter.rate(now) == 0 {
		return math.MaxInt64
	}
	pending := make([]int64, len(s.sources))
	for _, t := range s.tasks {
		pending[t.source] += t.rest.Len()
	}
	var own delivery
	var all []delivery
	for j, other := range s.sources {
		rate := other.meter.rate(now)
		if rate == 0 || other.assigned || j != i && pending[j] == 0 {
			continue
		}
		d := delivery{max(other.latency.value, float64(pending[j])/rate), rate}
		if all = append(all, d); j == i {
			own = d
		}
	}
	return int64(math.Ceil(max(0, endOf(all, s.free)-own.begin) * own.rate))
}

// endOf is when all deliveries together have brought so many bytes, in seconds from now.
func endOf(all []delivery, bytes int64) (end float64) {
	slices.SortFunc(all, func(a, b delivery) int { return cmp.Compare(a.begin, b.begin) })
	var rate, late float64 // of those that begin before the end; bytes that they lack because they do not begin now
	for _, d := range all {
		if rate > 0 && d.begin >= end {
			break
		}
		rate += d.rate
		late += d.rate * d.begin
		end = (float64(bytes) + late) / rate
	}
	return end
}

// tooSlow reports whether even the smallest request worth it would keep src busy
// for longer than the rest should take, and there is a source that is much
// faster.
func (s *scheduler) tooSlow(src *source, now time.Time) bool {
	rate := src.connRate(now)
	if src.assigned || src.served == 0 || rate == 0 || rate > s.bestConn/margin {
		return false
	}
	return s.cost(src, s.minRequest(src, now), now) > margin*s.horizon()
}

// young reports whether it is too early to tell what t brings: within the round
// trips of a slow start, but no longer than everything else should take.
func (s *scheduler) young(t *task, now time.Time) bool {
	start := many * s.sources[t.source].latency.value
	return now.Sub(t.sent) < max(moment, seconds(min(start, s.horizon())))
}

// takeBack frees the end of a range that t is not expected to deliver before
// everything else is done: its source may have become slow, or its rate was not
// known before. t keeps what is on its way, which would otherwise come without use.
func (s *scheduler) takeBack(t *task, now time.Time) {
	src := s.sources[t.source]
	if s.rate == 0 || t.whole || t.twin != nil || t.revoked || s.young(t, now) || s.sparing(src, t.blob, now) && !s.unrationed(t.blob) {
		return
	}
	within, left := max(s.horizon(), src.latency.value), s.timeLeft(t, now)
	if s.free > 0 && src.far() {
		within += many * src.latency.value
	}
	if left < margin*within {
		return
	}
	keep := max(s.minRequest(src, now), int64(float64(t.rest.Len())*within/left))
	keep = roundUp(keep, src.grain())
	if t.rest.Len()-keep < keep {
		return
	}
	s.keepOnly(t, keep, now)
}

// keepOnly leaves so many bytes to t, and frees the others.
func (s *scheduler) keepOnly(t *task, keep int64, now time.Time) {
	r := Range{t.rest.Start + keep, t.rest.End}
	t.rest.End = r.Start
	s.inFlight -= r.Len()
	s.giveBack(t.blob, r)
	s.setFinish(t, now)
}

// help gives to source i a part of what another request is expected to bring last,
// where every byte is already being fetched.
func (s *scheduler) help(i int, now time.Time) *task {
	src := s.sources[i]
	if !src.mayRange() || s.tooSlow(src, now) {
		return nil
	}
	// The last to finish are at the front of the heap, though not in order.
	for _, late := range s.tasks[:min(look, len(s.tasks))] {
		if late.rest.Empty() || late.whole || src.missing[late.blob] || s.barred(i, late.blob) {
			continue
		}
		if r := s.latterPart(src, late, now); !r.Empty() {
			return s.split(i, late, r, now)
		}
		if s.mayRace(i, late, now) && s.worthRacing(src, late, now) {
			return s.double(i, late)
		}
	}
	return nil
}

// latterPart is the end of late that src would fetch in the time that late needs for
// the rest. It is empty where late has not shown yet what it brings, for as long as an
// answer takes and at most a moment, or longer at a near source, where late keeps nothing,
// and where the part is not worth a request, or less than what comes unread because late
// ends early. A source with a budget of requests makes none for that. Of two requests for
// the same bytes, the one that has fetched more counts.
func (s *scheduler) latterPart(src *source, late *task, now time.Time) (r Range) {
	if late.twin != nil && late.twin.rest.Start > late.rest.Start {
		late = late.twin
	}
	other := s.sources[late.source]
	if late.opened.IsZero() || !other.far() && s.young(late, now) || src.ration.known {
		return r
	}
	if now.Sub(late.opened) < min(other.latencyOr(moment), moment) {
		return r
	}
	ours, theirs := s.rateOf(src, now), max(1, late.rate(now, s.rateOf(other, now), other))
	alone := src.delay.value + s.cost(src, late.rest.Len(), now) // that src would need for all
	keep := int64(alone * ours * theirs / (ours + theirs))
	r = Range{late.rest.Start + roundUp(keep, src.grain()), late.rest.End}
	if r.Len() < max(src.grain(), s.onItsWay(late)) {
		return Range{}
	}
	return r
}

// split gives the end r of what late has left, and its twin, to source i.
func (s *scheduler) split(i int, late *task, r Range, now time.Time) *task {
	late.rest.End = r.Start
	s.setFinish(late, now)
	if twin := late.twin; twin != nil {
		twin.rest.End = r.Start
		s.setFinish(twin, now)
	}
	return &task{source: i, blob: late.blob, asked: r, rest: r}
}

// mayRace reports whether source i could fetch what late has left. Of two requests for it,
// the second is replaced only once it has shown what it brings: otherwise two idle sources
// would take it from each other without end. A source races itself only where more
// connections bring more, or one of its own is far slower than the others.
func (s *scheduler) mayRace(i int, late *task, now time.Time) bool {
	src := s.sources[i]
	switch {
	case late.twin != nil && (late.source == i || late.twin.source == i || s.young(second(late), now)):
		return false
	case late.source != i || src.growth.scales || s.overdue(late, now):
		return true
	}
	rate := s.rateOf(src, now)
	return late.rate(now, rate, src) < rate/many && late.silent(now) > moment
}

// worthRacing reports whether src is likely to fetch what late has left in a third
// less time, within the budget for that. A silent request costs no budget, since
// its bytes are unlikely to come; an overdue answer is asked for again at any
// cost, since the silence has lowered the measured rate of its source. At the end,
// far sources also race what has been silent for half of the time of an answer: one
// lost packet would delay the end by a round trip or two.
func (s *scheduler) worthRacing(src *source, late *task, now time.Time) bool {
	if s.noRace {
		return late.unanswered(now)
	}
	if s.overdue(late, now) {
		return true
	}
	rest := late.rest.Len()
	spent := float64(s.doubled+s.unread+rest) > raceBudget*float64(s.total)+margin*minSplit
	if !spent && src.far() && s.atTheEnd() && margin*late.silent(now).Seconds() > src.latency.value {
		return true
	}
	return (!spent || late.silent(now) >= patience/margin) && margin*s.eta(late, now) >= many*s.cost(src, rest, now)
}

// atTheEnd reports whether so little is left that half the budget of races suffices to
// fetch all of it twice.
func (s *scheduler) atTheEnd() bool {
	return float64(s.left()) < raceBudget/margin*float64(s.total)
}

// double gives to source i what late has left, as a second request for it, in place of
// another second one.
func (s *scheduler) double(i int, late *task) *task {
	if late.twin != nil {
		other := second(late)
		late = other.twin
		s.abandon(other)
	}
	t := &task{source: i, blob: late.blob, asked: late.rest, rest: late.rest, twin: late, hedge: true, extra: late.rest.Len()}
	late.twin = t
	s.doubled += t.extra // until the outcome is known
	return t
}

// second is the one of t and its twin that was made later.
func second(t *task) *task {
	if t.hedge {
		return t
	}
	return t.twin
}
