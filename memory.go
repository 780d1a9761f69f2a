package segpull

import (
	"time"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// hints are what an earlier pull found out about each peer.
func (j *job) hints() []segment.Hint {
	memory := sources.Recall(j.opts.Memory)
	hints := make([]segment.Hint, len(j.peers))
	for i, p := range j.peers {
		h := memory[p.Name()]
		hints[i] = segment.Hint{Connections: h.Connections, Request: h.Request, Rate: h.Rate}
	}
	return hints
}

// remember keeps what this pull found out about peers that served enough to
// tell. It is a help for the next one: that it can't be kept is no error.
func (j *job) remember() {
	const enough = 4 << 20
	memory := make(sources.Memory)
	for i, s := range j.fetch.Status() {
		if s.Served >= enough {
			h := s.Hint
			memory[j.peers[i].Name()] = sources.Habits{Connections: h.Connections, Request: h.Request, Rate: h.Rate, Seen: time.Now()}
		}
	}
	_ = memory.Keep(j.opts.Memory)
}
