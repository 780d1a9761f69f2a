package segment

import (
	"container/heap"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// Sizes that the scheduler works with.
const (
	defaultSegmentSize = 4 << 20
	DefaultConnections = 32

	// minSplit is what arrives within the first windows of a connection: the
	// least that is worth a request of its own, at a source that brings it
	// within a second.
	minSplit = 128 << 10
	// grain is what ends of ranges are rounded to, the least that is worth a
	// request anywhere, and what a request has to bring to count as a success:
	// a link that breaks off every megabyte is slow, one that does so at once
	// is broken.
	grain = 32 << 10
	// farGrain is the same at a far source, one of whose connections brings less
	// than a grain in a round trip.
	farGrain = 8 << 10
	// look is how many idle sources one event offers work to, and how many of
	// the last requests to finish a source considers for a race.
	look = 8
)

// scheduler decides which source fetches what next. It does no I/O, starts no
// goroutine and reads no clock: the time is an argument of each call, and
// never goes back. It is not safe for concurrent use.
//
// A source with a free connection gets the next segment, in the order of the
// blobs. Towards the end requests shrink, so that all sources finish together,
// and what a slow task would deliver too late is free again. docs/scheduler.md
// describes the model and lists the rules.
type scheduler struct {
	segment   int64
	blobs     []blob
	withFree  []int // blobs with free bytes, ascending
	sources   []*source
	width     int // of these, the first few are fetched side by side
	turn      int // which of them is next
	holds     []hold
	preferred []preferred // ranges that are handed out first
	ready     []int       // queue of the sources that may have a connection to use
	idle      []int       // queue of those that had one, and found nothing to do

	tasks    running
	free     int64 // bytes nobody fetches
	inFlight int64 // bytes that tasks have still to fetch, twins and whole blobs apart
	total    int64 // bytes that were ever wanted
	doubled  int64 // bytes that came twice
	unread   int64 // bytes that came for requests that were taken back, as far as can be told
	noRace   bool  // nothing is fetched twice for speed
	served   int64 // bytes that came at all
	revoked  []*task
	rng      *rand.Rand

	sunk     time.Duration // that tasks spent in the sink since the last tick
	ticked   time.Time
	moved    time.Time // when any byte last came that is of use
	gain     meter     // of bytes that were not there before
	rate     float64   // bytes a second of all sources, as of the last tick
	bestConn float64   // bytes a second of the best connection, as of the last tick
	conns    int       // connections that all sources may have, as of the last tick
}

type blob struct {
	size    int64
	free    Set
	stream  *task   // a task that reads the whole blob, if there is one
	dropped bool    // nothing of it is wanted any more
	first   *source // it is left to this source; nil: to all
}

func (b *blob) all() Range { return Range{0, b.size} }

// newScheduler plans blobs of the given sizes over sources with at most so
// many connections each. Nothing is wanted until want is called. The seed makes
// its jitter repeatable.
func newScheduler(segmentSize int64, blobs []int64, connections []int, seed uint64) *scheduler {
	if segmentSize <= 0 {
		segmentSize = defaultSegmentSize
	}
	s := &scheduler{segment: segmentSize, width: 1, rng: rand.New(rand.NewPCG(seed, 0))}
	for _, size := range blobs {
		s.blobs = append(s.blobs, blob{size: size})
	}
	for i, most := range connections {
		s.sources = append(s.sources, newSource(most))
		s.offer(i)
	}
	return s
}

// expect tells the scheduler what a source was like in an earlier fetch. That
// counts until the source has shown what it is like now.
func (s *scheduler) expect(source int, h Hint, now time.Time) { s.sources[source].expect(h, now) }

// warm tells the scheduler of connections that are open already, and of how long a
// round trip takes.
func (s *scheduler) warm(source, connections int, roundTrip time.Duration) {
	src := s.sources[source]
	src.target = min(max(src.target, connections), src.most)
	src.roundTrip = roundTrip
}

// limitConnections limits the connections that a source starts with.
func (s *scheduler) limitConnections(source, connections int) {
	src := s.sources[source]
	src.target = min(src.target, connections)
}

// want asks for the bytes of r, in addition to those that are wanted already.
func (s *scheduler) want(blob int, r Range) {
	if s.blobs[blob].dropped {
		return
	}
	s.total += r.Len()
	s.giveBack(blob, r)
	s.offerAll()
}

// left is the number of bytes that are still to be fetched.
func (s *scheduler) left() int64 { return s.free + s.inFlight }

// nothingToFetch reports whether nothing is being fetched, and nothing can be at
// present.
func (s *scheduler) nothingToFetch(now time.Time) bool {
	return len(s.tasks) == 0 && !slices.ContainsFunc(s.withFree, func(b int) bool { return s.mayFetch(b, now) })
}

// next returns the next request to make at now, or nil when there is none for
// the time being: ask again after any other call.
func (s *scheduler) next(now time.Time) *task {
	for len(s.ready) > 0 {
		i := s.ready[0]
		s.ready = s.ready[1:]
		src := s.sources[i]
		src.queued = false
		if !src.available(now, margin) || src.skip() {
			continue
		}
		t := s.takePreferred(i) // with more connections, since the others may be busy for long
		if t == nil && !src.available(now, 0) {
			continue
		}
		if t == nil {
			t = s.takeFree(i, now)
		}
		if t == nil {
			t = s.help(i, now)
		}
		if t != nil {
			s.start(t, now)
			s.offer(i)
			return t
		}
		s.park(i)
	}
	return nil
}

// offer puts a source at the end of the queue of those that may take work.
func (s *scheduler) offer(i int) {
	if src := s.sources[i]; !src.queued {
		src.queued = true
		s.ready = append(s.ready, i)
	}
}

func (s *scheduler) offerAll() {
	for i := range s.sources {
		s.offer(i)
	}
}

// park puts a source at the end of the queue of those that found nothing.
func (s *scheduler) park(i int) {
	if src := s.sources[i]; !src.idle {
		src.idle = true
		s.idle = append(s.idle, i)
	}
}

// offerIdle offers work to the next few of the sources that found nothing, so
// that an event does not cost more with more sources. The tick offers it to
// all.
func (s *scheduler) offerIdle() {
	n := min(look, len(s.idle))
	for _, i := range s.idle[:n] {
		s.sources[i].idle = false
		s.offer(i)
	}
	s.idle = s.idle[n:]
}

// start accounts for a task that next hands out.
func (s *scheduler) start(t *task, now time.Time) {
	src := s.sources[t.source]
	if src.active == 0 {
		src.busy = now
	}
	src.active++
	src.ration.spend(now)
	src.small += s.small(t)
	if src.ranges == rangesUntried && t.asked != s.blobs[t.blob].all() {
		src.probe = t
	}
	src.meter.begin(now)
	t.began, t.sent, t.moved = now, now, now
	t.finish = now.Add(seconds(s.eta(t, now)))
	heap.Push(&s.tasks, t)
	if t.twin != nil {
		s.setFinish(t.twin, now) // so that others are the last
	}
}

// takeFree cuts a range off the free bytes for source i.
func (s *scheduler) takeFree(i int, now time.Time) *task {
	src := s.sources[i]
	if s.tooSlow(src, now) {
		return nil
	}
	if src.ranges == rangesIgnored {
		return s.takeStream(i, now)
	}
	if src.ration.known && src.mayRange() {
		if b, r := s.largest(i, now); !r.Empty() && s.sparing(src, b, now) {
			return s.takePortion(i, b, r, now)
		}
	}
	for b := range s.inTurn() {
		bl := &s.blobs[b]
		most := s.beforeStream(src, bl, now)
		if src.missing[b] || s.barred(i, b) || !s.mayFetch(b, now) || most == 0 {
			continue
		}
		if !src.mayRange() || s.fitsFirst(src, b, now) {
			if t := s.takeWhole(i, b); t != nil {
				return t
			}
			continue
		}
		share := s.share(i, now)
		if share == 0 {
			return nil
		}
		s.turn++
		return s.cut(i, b, min(share, most, max(s.cutSize(bl, src, now), s.portion(src, b, now))))
	}
	return nil
}

// inTurn are the blobs with free bytes, in the order in which a source tries them. Those that a
// stream reads are the last.
func (s *scheduler) inTurn() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, streamed := range []bool{false, true} {
			for k := range s.withFree {
				b := s.withFree[s.place(k)]
				if streamed == (s.blobs[b].stream != nil) && !yield(b) {
					return
				}
			}
		}
	}
}

// place is where in s.withFree the k-th blob to try stands: the first few take
// turns.
func (s *scheduler) place(k int) int {
	if width := min(s.width, len(s.withFree)); k < width {
		return (s.turn + k) % width
	}
	return k
}

// setParallel sets how many blobs are fetched side by side.
func (s *scheduler) setParallel(blobs int) { s.width = blobs }

// fitsFirst reports whether the first request to src may be for all of blob b:
// that needs no Range, which some stores refuse. A far source should bring it by more
// than one connection, if it is larger than what one should take.
func (s *scheduler) fitsFirst(src *source, b int, now time.Time) bool {
	bl, most := &s.blobs[b], min(firstQuota, s.segment)
	if src.far() {
		most = s.quota(src, now)
	}
	return src.ranges == rangesUntried && bl.size <= most && bl.free.Len() == bl.size
}

// cut takes size free bytes of blob b for source i: the lowest, so that the
// hash can follow; the highest, where a stream reads the blob from its first
// byte.
func (s *scheduler) cut(i, b int, size int64) *task {
	bl := &s.blobs[b]
	var r Range
	if bl.stream == nil {
		first := bl.free.First()
		r = Range{first.Start, roundEnd(first, first.Start+size, s.sources[i].grain())}
	} else {
		last := bl.free.last()
		r = Range{max(last.Start, last.End-size), last.End}
	}
	s.claim(b, r)
	s.inFlight += r.Len()
	return &task{source: i, blob: b, asked: r, rest: r}
}

// cutSize is how much of a blob's free bytes a source should take at once: a
// segment, or several where the source delivers that many in a second.
func (s *scheduler) cutSize(bl *blob, src *source, now time.Time) int64 {
	second := min(int64(s.rateOf(src, now)), maxRequest)
	size := min(s.quota(src, now), max(s.segment, second))
	if size < s.segment {
		return size
	}
	// Whole segments end at multiples of their size.
	return size/s.segment*s.segment - bl.free.First().Start%s.segment
}

// roundUp is the next multiple of grain.
func roundUp(n, grain int64) int64 { return (n + grain - 1) / grain * grain }

// roundEnd moves end to a multiple of grain within r, and takes in a rest
// that would not be worth a request of its own.
func roundEnd(r Range, end, grain int64) int64 {
	end = roundUp(end, grain)
	if r.End-end < many*grain {
		return r.End
	}
	return end
}

// claim takes r, or what of it is free, out of the free bytes of blob b, and
// returns how many they were.
func (s *scheduler) claim(b int, r Range) (claimed int64) {
	bl := &s.blobs[b]
	claimed = bl.free.Len()
	bl.free.Remove(r)
	claimed -= bl.free.Len()
	s.free -= claimed
	if bl.free.Len() == 0 {
		if k, ok := slices.BinarySearch(s.withFree, b); ok {
			s.withFree = slices.Delete(s.withFree, k, k+1)
		}
	}
	return claimed
}

// giveBack puts r into the free bytes of blob b.
func (s *scheduler) giveBack(b int, r Range) {
	if r.Empty() {
		return
	}
	bl := &s.blobs[b]
	s.free -= bl.free.Len()
	bl.free.Add(r)
	s.free += bl.free.Len()
	if k, ok := slices.BinarySearch(s.withFree, b); !ok {
		s.withFree = slices.Insert(s.withFree, k, b)
	}
}

// silent is how long the requests to a source have been waiting for a byte, 0
// if there are none.
func (s *scheduler) silent(source int, now time.Time) (longest time.Duration) {
	for _, t := range s.tasks {
		if t.source == source {
			longest = max(longest, t.silent(now))
		}
	}
	return longest
}

// hopeless returns a blob that no source can still be asked for, if there is
// one and nothing of it is in flight.
func (s *scheduler) hopeless() (blob int, ok bool) {
	for _, b := range s.withFree {
		if slices.ContainsFunc(s.tasks, func(t *task) bool { return t.blob == b }) {
			continue
		}
		if !slices.ContainsFunc(s.sources, func(src *source) bool { return src.mayHave(b) }) {
			return b, true
		}
	}
	return 0, false
}

// Status is how one source is doing.
type Status struct {
	Served      int64   // bytes of bodies
	Rate        float64 // bytes a second
	Connections int     // requests in flight
	Whole       bool    // it answers requests for ranges with whole blobs
	State       string  // "active", "waiting", "cooling", "probing" or "off"
	Hint        Hint    // for the next fetch
}

// status returns the state of each source at now.
func (s *scheduler) status(now time.Time) []Status {
	all := make([]Status, len(s.sources))
	for i, src := range s.sources {
		all[i] = Status{src.served, src.meter.rate(now), src.active, src.ranges == rangesIgnored, src.state(now), src.hint(now)}
	}
	return all
}
