package sources

import "time"

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

// Silent reports whether the source, in the last 10 minutes, has let 5 s pass when it was
// asked for a tag, and has not answered since.
func (s *Source) Silent() bool {
	since := s.silentAt.Load()
	return since != nil && within(*since, silenceLasts)
}

// answered notes that the source is not silent.
func (s *Source) answered() { s.silentAt.Store(nil) }

// wait is how long a race waits for one source.
type wait struct {
	alone     time.Duration // until it asks the next one, too
	preferred time.Duration // since its start, before it takes the answer of a later one
}

// waits returns how long to wait for each source. One that was silent before gets no head
// start, and answers wait for it as long as the head start of another would be.
func (r race) waits() []wait {
	var waits []wait
	for _, source := range r.sources {
		w := wait{headStart, r.precedence}
		if source.Silent() {
			w = wait{0, min(headStart, r.precedence)}
		}
		waits = append(waits, w)
	}
	return waits
}

// noteSilence notes the sources, of those named before the one whose answer is taken, that
// have not answered although the race has waited as long as it waits for any. It reports
// those for which it waited less, since they had no head start.
func (r race) noteSilence(got []*answer, waits []wait, elapsed time.Duration) {
	now := time.Now()
	for i, a := range got {
		if a != nil {
			continue
		}
		name := r.sources[i].Name()
		if waits[i].alone == 0 && elapsed >= headStart {
			r.set.Trouble(name, r.silence(headStart))
		}
		if r.precedence > 0 && elapsed >= r.precedence {
			r.sources[i].silentAt.Store(&now)
			r.set.Silent(name, now)
		}
	}
}
