package sources

import (
	"sync/atomic"
	"time"
)

// silenceLasts is how long a source counts as silent after it has let precedence pass.
const silenceLasts = 10 * time.Minute

// Recall tells the sources of the set which of them were silent in earlier pulls.
func (s *Set) Recall(history History) {
	for _, source := range s.sources {
		if at := history[source.Name()].Silent; !at.IsZero() {
			source.silentAt.Store(&at)
		}
	}
}

// Silent reports whether the source was silent in the last 10 minutes, and has not answered
// since: it left a request for a tag without an answer for 5 s, or one for a digest for
// 0.8 s, after which another source answered.
func (s *Source) Silent() bool { return s.silent() || recent(&s.lateAt) }

// silent reports whether it was a request for a tag.
func (s *Source) silent() bool { return recent(&s.silentAt) }

func recent(at *atomic.Pointer[time.Time]) bool {
	t := at.Load()
	return t != nil && within(*t, silenceLasts)
}

// answered notes that the source has answered. One that has bytes may still be silent
// when it is asked for a tag, as a cache is whose own source is down.
func (s *Source) answered(forTag bool) {
	s.lateAt.Store(nil)
	if forTag {
		s.silentAt.Store(nil)
	}
}

// silentForTag notes that a source has not answered which image a tag names.
func (s *Set) silentForTag(source *Source) {
	now := time.Now()
	source.silentAt.Store(&now)
	s.Silent(source.Name(), now)
}

// silentForDigest notes that another source has answered in place of this one.
func (s *Set) silentForDigest(source *Source) {
	now := time.Now()
	source.lateAt.Store(&now)
}

// wait is how long a race waits for one source.
type wait struct {
	alone     time.Duration // until it asks the next one, too
	preferred time.Duration // since its start, before it takes the answer of a later one
}

// waits returns how long to wait for each source. One that was silent gets no head start,
// and if it was so for long, answers wait for it only as long as a head start.
func (r race) waits() []wait {
	var waits []wait
	for _, source := range r.sources {
		w := wait{headStart, r.precedence}
		if source.Silent() {
			w.alone = 0
		}
		if source.silent() {
			w.preferred = min(headStart, r.precedence)
		}
		waits = append(waits, w)
	}
	return waits
}

// noteSilence notes which sources, of those before the one whose answer is taken, have not
// answered although the race has waited for them: for a tag as long as it waits for any, for
// a digest for their head start. It reports those that had no head start.
func (r race) noteSilence(got []*answer, waits []wait, elapsed time.Duration) {
	for i, a := range got {
		if a != nil {
			continue
		}
		if waits[i].alone == 0 && elapsed >= headStart {
			r.set.Trouble(r.sources[i].Name(), r.silence(headStart))
		}
		if elapsed >= max(headStart, r.precedence) && r.unanswered != nil {
			r.unanswered(r.sources[i])
		}
	}
}
