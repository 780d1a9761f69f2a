package sources

import (
	"sync/atomic"
	"time"
)

// silenceLasts is how long a source counts as silent.
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
// this Set since: the answer of another source to a tag waited for it until 5 s were over, or
// another source answered a digest when it had been asked for 0.8 s.
func (s *Source) Silent() bool { return s.silent() || lately(&s.lateAt) }

// silent reports whether it was a request for a tag.
func (s *Source) silent() bool { return lately(&s.silentAt) }

func lately(at *atomic.Pointer[time.Time]) bool {
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

// noteSilentForTag notes that a source has not answered which image a tag names.
func (s *Set) noteSilentForTag(source *Source) {
	now := time.Now()
	source.silentAt.Store(&now)
	s.Silent(source.Name(), now)
}

// noteSilentForDigest notes that another source has answered in place of this one.
func (s *Set) noteSilentForDigest(source *Source) {
	now := time.Now()
	source.lateAt.Store(&now)
}

// turn is the part of one source in a race.
type turn struct {
	silent          bool          // before the race: it gets no head start
	silentForTag    bool          // before the race
	asked, answered time.Duration // when, since the start of the race
}

func (r race) turns() []turn {
	var turns []turn
	for _, source := range r.sources {
		turns = append(turns, turn{silent: source.Silent(), silentForTag: source.silent()})
	}
	return turns
}

// alone is how long the source is asked before the next is asked, too.
func (t turn) alone() time.Duration {
	if t.silent {
		return 0
	}
	return headStart
}

// waitsFor is how long, since the start of the race, answers of later sources wait for that
// of t.
func (r race) waitsFor(t turn) time.Duration {
	if t.silentForTag {
		return min(t.asked+headStart, r.precedence)
	}
	return r.precedence
}

// noteSilence notes which sources are silent, of those before the one whose answer is taken:
// for a tag those for which that answer has waited until precedence was over, for a digest
// those that have not used their head start. It does not if the cause may be a slow credential
// helper. It also reports the silent ones, which reportSilence leaves out.
func (r race) noteSilence(got []*answer, turns []turn, taken int, elapsed time.Duration) {
	waited := turns[taken].answered < r.precedence && elapsed >= r.precedence
	for i, a := range got[:taken] {
		since := elapsed - turns[i].asked
		if a != nil || since < headStart {
			continue
		}
		if turns[i].silent {
			r.set.Trouble(r.sources[i].Name(), r.silence(headStart))
		}
		if r.forTag() && (!waited || since < waitingAfter) {
			continue
		}
		if r.unanswered != nil && r.set.logins.waiting() == "" {
			r.unanswered(r.sources[i])
		}
	}
}
