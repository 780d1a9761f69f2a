package segment

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	// FirstConnections is what a source starts with: as many as browsers open
	// to a host, which servers expect.
	FirstConnections = 6

	// maxRetryAfter bounds what a server may ask for.
	maxRetryAfter = 10 * time.Minute
	// maxRequest is the most that one request asks for because its source brings
	// that in a second, and the most bytes a second of a hint that count.
	maxRequest = 32 << 20
	// strikes is how often in a row something has to happen before it counts:
	// failures, for a source to get one connection only; refusals, for a source
	// that has served us to be used no more; rejected requests for a blob, for
	// the source to lack it; streams that bring hardly anything new, for them
	// not to count as progress.
	strikes = 3
)

// outcomeKind is how a task ended.
type outcomeKind int

const (
	outcomeDone     outcomeKind = iota // its bytes came, or it was revoked
	outcomeCut                         // the connection failed, before or in the middle of the body
	outcomeBusy                        // the source is overloaded, or counts requests: 429 or 503
	outcomeMissing                     // the source does not have the blob
	outcomeRefused                     // the source will not serve us at all
	outcomeRejected                    // the source would answer each request for this blob with the same error
)

// outcome is how a task ended, and how long the source wants no request; after
// is 0 where it did not tell.
type outcome struct {
	kind  outcomeKind
	after time.Duration
}

type rangeSupport int

const (
	rangesUntried rangeSupport = iota
	rangesServed
	rangesIgnored
)

// source is what the scheduler knows of a source.
type source struct {
	most    int // connections at the most
	target  int // connections that are worth having
	active  int // tasks in flight
	small   int // of these, small ones
	answers int // of these, with an answer on its way
	paused  int // of these, waiting for a rate limit

	assigned bool      // it has only the blobs that are assigned to it
	busy     time.Time // since when it has tasks in flight, if it has any
	resumed  time.Time // when one last stopped to wait for a rate limit

	queued      bool // waits in scheduler.ready
	idle        bool // waits in scheduler.idle
	off         bool // not to be used any more
	trust       Trust
	trustedRate float64 // bytes a second when it became a suspect
	needed      bool    // it is a suspect, and the others have not brought enough
	until       time.Time
	missing     map[int]bool // blobs that it does not have, or will not deliver
	rejections  map[int]int  // requests in a row for a blob that it rejected
	streamed    map[int]bool // blobs that others have once left to a stream of it
	peak        int          // most requests that it answered at the same time

	refusals    int       // in a row
	failures    int       // in a row
	noProgress  int       // streams in a row that made none
	failed      time.Time // when the last of them was noticed
	ranges      rangeSupport
	probe       *task         // the one that finds out whether ranges are served
	roundTrip   time.Duration // while its connections were opened; 0: unknown
	rangesAgain time.Time

	meter   meter
	perConn average // bytes a second of one connection, from tasks that are over
	hinted  float64 // the same, as an earlier fetch saw it; 0: unknown
	latency average // seconds from request to headers
	delay   average // seconds that a body pauses after its first bytes
	served  int64
	moved   time.Time     // when it last brought a byte that is of use
	waited  time.Duration // the longest time from a request that had no answer to its end

	growth growth
	ration ration
	best   float64 // bytes a second that it brought at the most
}

func newSource(most int) *source {
	if most <= 0 {
		most = DefaultConnections
	}
	return &source{most: most, target: min(FirstConnections, most), missing: make(map[int]bool), streamed: make(map[int]bool), rejections: make(map[int]int)}
}

// Hint is what a source turned out to be like. The zero Hint knows nothing.
type Hint struct {
	Connections int   // that were worth having
	Rate        int64 // bytes a second of one connection

	Burst     int     // requests that it answers in a row; 0: any number
	PerMinute float64 // requests that it answers after that
	Left      int     // of Burst, requests that it answers now

	Silent bool // it has left a request without an answer; false if all sources have
}

// expect starts from a hint: with half of the connections, so that the next
// step finds out whether the rest is still worth having. A silent source is asked a
// moment later than others.
func (src *source) expect(h Hint, now time.Time) {
	src.target = min(max(src.target, h.Connections/2), src.most)
	src.hinted = float64(min(max(0, h.Rate), maxRequest))
	src.ration.expect(h, now)
	if h.Silent {
		src.until = now.Add(moment)
	}
}

// hint is what is worth remembering: connections only if more of them brought
// more.
func (src *source) hint(now time.Time) Hint {
	connections := FirstConnections
	if src.growth.scales {
		connections = src.target
	}
	h := Hint{Connections: connections, Rate: int64(src.perConn.value)}
	src.ration.remember(&h, now)
	return h
}

// available reports whether the source may get one more request, if it may have so many
// more connections than it is allowed.
func (src *source) available(now time.Time, more int) bool {
	return !src.off && !now.Before(src.until) && src.active < src.most && src.load() < src.allowed()+more && src.ration.allows(now)
}

// mayHave reports whether the source can be asked for a blob.
func (src *source) mayHave(blob int) bool { return !src.off && !src.missing[blob] }

// unresponsive reports whether the source has served nothing, although a request to it waited for a
// moment.
func (src *source) unresponsive(now time.Time) bool {
	return src.served == 0 && (src.waited >= moment || src.active > 0 && now.Sub(src.busy) >= moment)
}

// load is how many connections the tasks in flight count for. Three for small
// blobs count for one, so that an image of many small layers does not take a
// round trip for each few of them.
func (src *source) load() int {
	return src.active - src.small + (src.small+many-1)/many
}

// allowed is how many connections the source may have now: one after several
// failures.
func (src *source) allowed() int {
	if src.failures >= strikes {
		return 1
	}
	return min(src.target, src.growth.opened(src.ration.granted))
}

// mayRange reports whether the source may be asked for a part of a blob. One request
// finds out whether it serves ranges; the others wait for that, unless it takes long.
func (src *source) mayRange() bool {
	return src.ranges == rangesServed ||
		src.ranges == rangesUntried && (src.probe == nil || src.far())
}

// retryRanges allows ranges again for a source that ignored them, once the wait
// for that is over.
func (src *source) retryRanges(now time.Time) {
	if src.ranges == rangesIgnored && !now.Before(src.rangesAgain) {
		src.ranges = rangesUntried
	}
}

// connRate is the bytes a second of one of its connections; 0 when unknown.
func (src *source) connRate(now time.Time) float64 {
	if src.active > 0 && src.served >= src.grain() {
		if r := src.meter.rate(now) / float64(src.active); r > 0 && now.Sub(src.meter.start) > usualGap {
			return src.plausible(r)
		}
	}
	if src.perConn.known {
		return src.perConn.value
	}
	return src.hinted
}

// plausible bounds what the remaining connections seem to bring each once most
// are over: the source's rate falls later than their number.
func (src *source) plausible(rate float64) float64 {
	if src.active < src.allowed() && src.perConn.known {
		return min(rate, margin*src.perConn.value)
	}
	return rate
}

// grace is how old a body has to be before its own rate counts.
func (src *source) grace() time.Duration {
	return usualGap + seconds(margin*src.delay.value)
}

// grain is the least that is worth a request to the source, and what a request has to
// bring to count as a success.
func (src *source) grain() int64 {
	if src.far() {
		return farGrain
	}
	return grain
}

// far reports whether a round trip takes longer than a tick.
func (src *source) far() bool { return src.roundTrip > tickInterval }

// congested reports whether the answers of a far source wait in a full queue: they
// take twice as long as a round trip.
func (src *source) congested() bool {
	return src.far() && src.latencyOr(0) > margin*src.roundTrip
}

func (src *source) latencyOr(fallback time.Duration) time.Duration {
	if !src.latency.known {
		return fallback
	}
	return seconds(src.latency.value)
}

// fail records that a request, made at began, has failed.
func (src *source) fail(blob int, why outcome, began, now time.Time, rng *rand.Rand) {
	switch why.kind {
	case outcomeMissing:
		src.missing[blob] = true
		return
	case outcomeRefused:
		// A token may just have expired.
		if src.refusals++; src.refusals >= strikes || src.served == 0 {
			src.off = true
			return
		}
	}
	counts := why.kind == outcomeBusy && src.counts(why, began, now)
	if why.kind == outcomeBusy && !counts {
		src.backOff429(now)
	}
	if began.Before(src.failed) {
		return // of many requests that failed together, one counts
	}
	if why.kind == outcomeRejected {
		if src.rejections[blob]++; src.rejections[blob] >= strikes {
			src.missing[blob] = true
			return
		}
	}
	src.failures++
	src.failed = now
	wait := max(min(why.after, maxRetryAfter), src.backoff(rng))
	src.until = later(src.until, now.Add(wait))
	if counts {
		src.ration.refuse(wait, now)
	}
}

// backOff429 gives a busy source no more connections than it answers now, unless it
// answered more at once before. The next requests find out whether it counts requests.
func (src *source) backOff429(now time.Time) {
	src.ration.probe(now)
	if src.answers < src.peak {
		return
	}
	src.target = max(1, min(src.target, src.answers))
	src.growth.stay(now)
}

// backoff doubles with each failure in a row, with jitter so that connections
// do not come back together.
func (src *source) backoff(rng *rand.Rand) time.Duration {
	d := min(seconds(tickInterval.Seconds()*math.Exp2(float64(src.failures-1))), longPatience)
	return d/2 + time.Duration(rng.Int64N(int64(d)))
}

// state is the state of the source as Status names it.
func (src *source) state(now time.Time) string {
	switch {
	case src.off, src.trust == Excluded && src.active == 0:
		return "off"
	case now.Before(src.until), src.active == 0 && !src.ration.allows(now):
		return "cooling"
	case src.failures >= strikes:
		return "probing"
	case src.active == 0:
		return "waiting"
	}
	return "active"
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
