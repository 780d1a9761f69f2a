package segment

import (
	"math"
	"time"
)

// simRation is a bucket of tokens, full at the start, of which each answer takes
// one.
type simRation struct {
	burst      int
	every      time.Duration // between two tokens
	retryAfter bool          // a refusal says when the next one comes, in whole seconds
	headers    bool          // each answer says how many are left
}

// simBucket is a ration while it is used.
type simBucket struct {
	taken float64 // of its tokens
	at    time.Duration
}

// next is how long it takes until there is one more token, in whole seconds.
func (b simBucket) next(r simRation) time.Duration {
	missing := math.Ceil(b.taken) - 1
	wait := (b.taken - max(0, missing)) * r.every.Seconds()
	return time.Duration(math.Ceil(wait)) * time.Second
}

// takeToken reports whether a source has a token for a request.
func (sim *simulation) takeToken(src simSource, t *simTask) bool {
	b := &sim.buckets[t.source]
	b.taken = max(0, b.taken-(sim.now-b.at).Seconds()/src.ration.every.Seconds())
	b.at = sim.now
	left := float64(src.ration.burst) - b.taken
	taken := left >= 1
	if taken {
		b.taken++
		left--
	}
	if src.ration.headers {
		unanswered := sim.s.sources[t.source].active - sim.s.sources[t.source].answers - 1
		q := Quota{Left: int(left), Most: src.ration.burst, Every: src.ration.every, Reset: b.next(src.ration)}
		sim.s.sources[t.source].ration.learn(q, unanswered, sim.at)
	}
	return taken
}
