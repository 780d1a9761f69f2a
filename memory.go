package segpull

import (
	"fmt"
	"time"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// hint is what an earlier pull found out about a peer, for the scheduler.
func hint(h sources.Habits) segment.Hint {
	return segment.Hint{Connections: h.Connections, Request: h.Request, Rate: h.Rate, Ranges: h.Ranges}
}

// doubts are the sources that were convicted in an earlier pull, of late. It
// is no proof in this one: they are used, but the last to be believed.
func (j *job) doubts(memory sources.Memory) map[string]bool {
	doubted := make(map[string]bool)
	for _, p := range j.peers {
		if lied := memory[p.Name()].Lied; !lied.IsZero() {
			doubted[p.Name()] = true
			j.notify(Warning{Message: fmt.Sprintf("%s served wrong bytes on %s; it is used until it does so again: better leave it out", p.Name(), lied.Format(time.DateOnly))})
		}
	}
	return doubted
}

// remember keeps what this pull found out about peers that served enough to
// tell, and about liars. It is a help for the next one: that it can't be kept
// is no error.
func (j *job) remember() {
	const enough = 4 << 20
	memory := make(sources.Memory)
	for i, s := range j.fetch.Status() {
		name := j.peers[i].Name()
		var h sources.Habits
		if s.Served >= enough {
			h = sources.Habits{Connections: s.Hint.Connections, Request: s.Hint.Request, Rate: s.Hint.Rate, Ranges: s.Hint.Ranges, Seen: time.Now()}
		}
		if j.liars.has(name) {
			h.Lied = time.Now()
		}
		if h != (sources.Habits{}) {
			memory[name] = h
		}
	}
	_ = memory.Keep(j.opts.Memory)
}
