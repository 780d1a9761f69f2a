package segment

import (
	"slices"
	"time"
)

// probes is how many requests after a refusal have to be answered, one at a time: the
// first may have taken the only token.
const probes = 2

// Quota is what a source says of its budget of requests in an answer.
type Quota struct {
	Left  int           // requests that it answers at once
	Most  int           // requests that it answers at once after a while without any
	Every time.Duration // time in which one more is allowed; 0: it does not say
	Reset time.Duration // until there are more than Left; 0: it does not say
}

// Learn records what source has said of its budget in an answer that the Fetch
// does not have yet.
func (f *Fetch) Learn(source int, q Quota) {
	f.locked(func() {
		src := f.sched.sources[source]
		src.ration.learn(q, src.active-src.answers-1, time.Now())
	})
}

// Spend takes a request that others make of a source off its budget.
func (f *Fetch) Spend(source int) {
	f.locked(func() { f.sched.sources[source].ration.spend(time.Now()) })
}

// Spare reports whether the budget of a source has a request to spare: one that
// the blobs do not need.
func (f *Fetch) Spare(source int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sched.spare(f.sched.sources[source], time.Now())
}

// ration is a budget of requests: a bucket of tokens, of which each request
// takes one. The zero ration is of a source that has refused none and does not
// speak of a budget: it allows everything.
type ration struct {
	known  bool
	told   bool          // by the source itself
	tokens float64       // at filled; below 0 where the next one comes later than usual
	filled time.Time     //
	most   float64       // tokens that the bucket holds
	every  time.Duration // between two tokens

	first   time.Time // request
	granted int       // requests since the first one that were answered
	last    time.Time // answer that was no refusal
	refused time.Time // last refusal
	probing int       // requests made since that have to be answered, one at a time
	probed  bool      // one of these is on its way
	paced   int       // answers since every was changed
	enough  int       // of these, for a smaller one to be tried
}

// expect starts with what an earlier fetch found out.
func (r *ration) expect(h Hint, now time.Time) {
	if h.PerMinute <= 0 || h.Burst <= 0 {
		return
	}
	r.every, r.most = seconds(time.Minute.Seconds()/h.PerMinute), float64(h.Burst)
	r.every = min(max(r.every, time.Millisecond), maxRetryAfter)
	r.set(min(r.most, float64(h.Left)), now)
}

// remember adds the budget to a hint. One that the source neither told of nor
// refused to exceed may be larger by now.
func (r *ration) remember(h *Hint, now time.Time) {
	if !r.known {
		return
	}
	h.Burst, h.PerMinute, h.Left = int(r.most), time.Minute.Seconds()/r.every.Seconds(), int(max(0, r.level(now)))
	if !r.told && r.refused.IsZero() {
		h.PerMinute *= margin
	}
}

// wait is how long it takes until the budget allows a request.
func (r *ration) wait(now time.Time) time.Duration {
	if r.allows(now) {
		return 0
	}
	return seconds((1 - r.level(now)) * r.every.Seconds())
}

// level is how many requests the budget allows at now.
func (r *ration) level(now time.Time) float64 {
	return min(r.most, r.tokens+now.Sub(r.filled).Seconds()/r.every.Seconds())
}

// within is how many requests the budget allows in so many seconds from now on.
func (r *ration) within(seconds float64, now time.Time) float64 {
	return r.level(now) + seconds/r.every.Seconds()
}

// allows reports whether the budget allows a request. After a refusal, one at a
// time finds out whether requests are answered again.
func (r *ration) allows(now time.Time) bool {
	return (!r.known || r.level(now) >= 1) && (r.probing == 0 || !r.probed)
}

// set changes the budget to so many tokens.
func (r *ration) set(tokens float64, now time.Time) {
	r.known, r.tokens, r.filled = true, tokens, now
}

// spend takes a token for a request.
func (r *ration) spend(now time.Time) {
	if r.first.IsZero() {
		r.first = now
	}
	r.probed = true
	if r.known {
		r.set(r.level(now)-1, now)
	}
}

// lose records that a request which was made at began ended without an answer,
// or was refused.
func (r *ration) lose(began time.Time) {
	r.probed = r.probed && began.Before(r.refused)
}

// probe lets one request after the other find out whether the source counts requests.
func (r *ration) probe(now time.Time) {
	r.refused, r.probing, r.probed = now, probes, false
}

// grant records an answer that was no refusal, to a request made at began.
func (r *ration) grant(began, now time.Time) {
	r.granted++
	r.paced++
	r.last = now
	if r.probing > 0 && !began.Before(r.refused) {
		r.probing, r.probed = r.probing-1, false
	}
}

// hurry tries after many answers whether the tokens come more often than was
// estimated.
func (r *ration) hurry(now time.Time) {
	if r.told || r.paced < r.enough {
		return
	}
	tokens := r.level(now)
	r.every /= margin
	r.set(tokens, now)
	r.pace()
}

// pace begins a longer series of answers.
func (r *ration) pace() {
	r.paced, r.enough = 0, max(look, margin*r.enough)
}

// learn takes over what the source says. So many requests that it may not have
// counted yet are on their way.
func (r *ration) learn(q Quota, unanswered int, now time.Time) {
	every := q.Every
	if every <= 0 {
		every = max(r.every, longRequest)
	}
	r.told, r.every, r.most = true, min(max(every, time.Millisecond), maxRetryAfter), max(1, float64(q.Most))
	tokens := float64(q.Left - max(0, unanswered))
	if q.Left == 0 {
		tokens = min(tokens, 1-min(q.Reset, maxRetryAfter).Seconds()/r.every.Seconds())
	}
	r.set(tokens, now)
}

// refuse records that a request was refused, and that the next one should wait
// for so long.
func (r *ration) refuse(wait time.Duration, now time.Time) {
	if r.told && r.level(now) < 1 {
		return
	}
	estimate := min(wait, longRequest)
	if r.known {
		// The bucket was empty after the last answer and will have one token.
		estimate = max(r.every, min(now.Add(wait).Sub(r.last), margin*max(r.every, estimate)))
	} else {
		estimate = max(estimate, (now.Sub(r.first)+wait)/time.Duration(r.granted+1))
		r.most = max(1, float64(r.granted)-now.Sub(r.first).Seconds()/estimate.Seconds())
	}
	r.every = max(estimate, time.Millisecond)
	r.probe(now)
	r.set(1-wait.Seconds()/r.every.Seconds(), now)
	r.pace()
}

// counts reports whether the refusal of a request that was made at began means
// that src counts requests: it says so, or it answered more at once before, and
// asks for a pause or refuses once more.
func (src *source) counts(why outcome, began, now time.Time) bool {
	r := &src.ration
	if r.told && r.level(now) < 1 {
		return true
	}
	again := r.probing > 0 && !began.Before(r.refused)
	return src.answers < src.peak && (why.after > 0 || r.known || again)
}

// sparing reports whether the budget of src is so small that requests for blob b
// should be for more than usual.
func (s *scheduler) sparing(src *source, b int, now time.Time) bool {
	return s.portion(src, b, now) > s.segment
}

// takePortion gives to source i, whose budget is small, the beginning of r, the
// largest range that is free: small ones are for others, where there are any.
func (s *scheduler) takePortion(i, b int, r Range, now time.Time) *task {
	src := s.sources[i]
	r.End = roundEnd(r, r.Start+max(s.portion(src, b, now), s.quota(src, now)), src.grain())
	s.claim(b, r)
	s.inFlight += r.Len()
	return &task{source: i, blob: b, asked: r, rest: r}
}

// largest is the largest free range that source i may fetch, and its blob.
func (s *scheduler) largest(i int, now time.Time) (blob int, r Range) {
	for _, b := range s.withFree {
		if s.sources[i].missing[b] || s.barred(i, b) || !s.mayFetch(b, now) {
			continue
		}
		for _, free := range s.blobs[b].free.Ranges() {
			if free.Len() > r.Len() {
				blob, r = b, free
			}
		}
	}
	return blob, r
}

// portion is the least that a request to src for bytes of blob b should be for,
// so that its budget lasts: what it should bring until everything ends, divided
// by the requests that it is allowed until then. Where there is no other source,
// each blob takes one of these.
func (s *scheduler) portion(src *source, b int, now time.Time) int64 {
	if !src.ration.known {
		return 0
	}
	requests, bytes := s.allowance(src, now)
	if !s.unrationed(b) {
		requests -= float64(len(s.withFree))
	}
	return int64(bytes / max(1, requests/margin))
}

// allowance is how many requests src is allowed until everything should end, and
// the bytes that it can bring until then. While it waits for its budget it
// brings less than it can.
func (s *scheduler) allowance(src *source, now time.Time) (requests, bytes float64) {
	own := src.best
	if own == 0 {
		own = s.rateOf(src, now) * float64(src.target)
	}
	horizon := float64(s.left()) / (max(0, s.rate-src.meter.rate(now)) + own)
	return src.ration.within(horizon, now), own * horizon
}

// unrationed reports whether a source without a budget serves blob b.
func (s *scheduler) unrationed(b int) bool {
	return slices.ContainsFunc(s.sources, func(src *source) bool {
		return src.mayHave(b) && src.trust == Trusted && src.served > 0 && !src.ration.known
	})
}

// scarce reports whether src is allowed fewer requests than there are blobs.
func (s *scheduler) scarce(src *source, now time.Time) bool {
	requests, _ := s.allowance(src, now)
	return requests < margin*float64(len(s.withFree))
}

// spare reports whether src has a request left beside those for the blobs.
func (s *scheduler) spare(src *source, now time.Time) bool {
	return !src.ration.known || src.ration.level(now) >= margin && !s.scarce(src, now)
}
