package segment

import (
	"math"
	"slices"
	"time"
)

// takeWhole gives all of blob b to source i, of which it is not known yet
// whether it serves ranges, if nobody has begun the blob and it is no larger
// than a segment.
func (s *scheduler) takeWhole(i, b int) *task {
	bl := &s.blobs[b]
	if bl.free.Len() < bl.size || bl.size > s.segment {
		return nil
	}
	return s.cut(i, b, bl.size)
}

// takeStream lets source i, which ignores ranges, read a blob from its first
// byte. Beside sources that serve ranges it reads one blob at a time, the one
// of which most is missing: what it sends of the bytes that are there is of no
// use.
func (s *scheduler) takeStream(i int, now time.Time) *task {
	var pick *blob
	var at int
	for _, b := range s.withFree {
		bl := &s.blobs[b]
		if bl.stream != nil || s.sources[i].missing[b] || s.barred(i, b) || !s.mayFetch(b, now) {
			continue
		}
		beside := s.rangedElsewhere(i, b, now)
		if beside && s.streams(i) > 0 {
			continue
		}
		if bl.free.Len() < bl.size && s.leavesOut(i, b, now) {
			continue
		}
		if pick == nil || beside && bl.free.Len() > pick.free.Len() {
			pick, at = bl, b
		}
	}
	if pick == nil {
		return nil
	}
	pick.stream = &task{source: i, blob: at, asked: pick.all(), rest: pick.all(), whole: true}
	return pick.stream
}

// beforeStream is how much src may be asked for of the blob: what it brings before a stream comes to
// the end of what is free. An unresponsive source leaves all of that to the stream.
func (s *scheduler) beforeStream(src *source, bl *blob, now time.Time) int64 {
	if bl.stream == nil {
		return math.MaxInt64
	}
	until := s.timeFor(bl.stream, bl.free.last().End-bl.stream.rest.Start, now) - src.latencyOr(moment).Seconds()
	most := int64(until * s.rateOf(src, now))
	if src.unresponsive(now) || most < s.minRequest(src, now) {
		return 0
	}
	return most
}

// overtake takes from other requests what the stream t has reached of them, if it brings the rest of
// that sooner: it will not come there again.
func (s *scheduler) overtake(t *task, came Range, now time.Time) {
	s.abandonAll(func(o *task) bool {
		return o != t && o.blob == t.blob && o.twin == nil && !o.rest.Intersect(came).Empty() &&
			s.timeLeft(o, now) > s.timeFor(t, o.rest.End-t.rest.Start, now)
	})
}

// rangedElsewhere reports whether another source serves ranges of blob b. A source whose first
// answer is awaited counts as one that does, for up to a moment.
func (s *scheduler) rangedElsewhere(i, b int, now time.Time) bool {
	return slices.ContainsFunc(s.sources, func(o *source) bool {
		soon := o.ranges == rangesUntried && o.active > 0 && !o.unresponsive(now)
		return o != s.sources[i] && (soon || o.ranges == rangesServed) && o.mayHave(b) && o.trust != Excluded
	})
}

// leavesOut reports whether source i, which sends whole blobs, leaves out the bytes
// of blob b that are there or on their way: where nothing may come twice, and another
// source can bring the rest.
func (s *scheduler) leavesOut(i, b int, now time.Time) bool {
	return s.noRace && s.rangedElsewhere(i, b, now)
}

// streams is how many blobs source i reads from their first bytes.
func (s *scheduler) streams(i int) (n int) {
	for b := range s.blobs {
		if t := s.blobs[b].stream; t != nil && t.source == i {
			n++
		}
	}
	return n
}
