package report

import (
	"slices"
	"sync"
	"time"

	"github.com/segpull/segpull"
)

const (
	mostRequests = 50_000
	mostMessages = 200
	mostProblems = 500 // of a source
)

// Recorder records the events of a pull. Its methods are safe for concurrent use.
type Recorder struct {
	mu       sync.Mutex
	began    time.Time
	sources  []*source
	images   []*image
	stalls   []span
	messages []message
	requests int // with those that were not kept
	omitted  int // messages
}

// span is a time. The end is zero while it lasts.
type span struct {
	from, to time.Time
	text     string
}

// source is a mirror.
type source struct {
	name     string
	bytes    int64 // that Progress reported
	requests []request
	made     int     // requests, with those that were not kept
	states   []span  // other than active and waiting
	seconds  []int64 // bytes in each second since the beginning
	corrupt  []span  // moments
	problems []span  // moments
	troubled int     // how many problems there were
}

type request struct {
	segpull.Request
	from, answered, to time.Time
}

// image is one image of the pull.
type image struct {
	segpull.Resolved
	at       time.Time // when it was resolved
	result   *segpull.Result
	failed   string
	progress segpull.Progress
}

// message is something that happened, once or several times.
type message struct {
	at    time.Time
	text  string
	bad   bool
	times int
}

// New returns a Recorder for a pull that begins now.
func New() *Recorder { return &Recorder{began: time.Now()} }

// Observe implements segpull.Observer.
func (r *Recorder) Observe(e segpull.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch e := e.(type) {
	case segpull.Resolved:
		r.images = append(r.images, &image{Resolved: e, at: now})
	case segpull.Progress:
		r.sample(now, e)
	case segpull.Request:
		r.request(now, e)
	case segpull.Stalled:
		r.stalls = append(r.stalls, span{from: now.Add(-e.Silent.Duration), text: "no byte from any mirror"})
		for _, reason := range e.Reasons {
			r.say(now, "no byte from "+reason, true)
		}
	case segpull.Corrupt:
		s := r.source(e.Source)
		s.corrupt = append(s.corrupt, span{from: now, to: now, text: e.Proof}) // a Warning says the same
	case segpull.Trouble:
		s := r.source(e.Source)
		if s.troubled++; s.troubled <= mostProblems {
			s.problems = append(s.problems, span{from: now, to: now, text: e.Message})
		}
		r.say(now, e.Source+": "+e.Message, false)
	case segpull.Warning:
		r.say(now, e.Message, true)
	case segpull.Finished:
		if i := r.image(e.Reference); i != nil {
			i.result = &e.Result
		}
	case segpull.Failed:
		r.say(now, e.Message, true)
		if i := r.image(e.Reference); i != nil {
			i.failed = e.Message
		}
	}
}

// source returns the source with a name, and adds it if it is new.
func (r *Recorder) source(name string) *source {
	for _, s := range r.sources {
		if s.name == name {
			return s
		}
	}
	s := &source{name: name}
	r.sources = append(r.sources, s)
	return s
}

// image returns the image of a reference that has not ended, or nil.
func (r *Recorder) image(reference string) *image {
	for _, i := range r.images {
		if i.Reference == reference && i.result == nil && i.failed == "" {
			return i
		}
	}
	return nil
}

// sample records what has arrived since the last sample, and the states of the sources.
func (r *Recorder) sample(now time.Time, e segpull.Progress) {
	i := r.image(e.Reference)
	if i == nil {
		return
	}
	before := make(map[string]int64)
	for _, s := range i.progress.Sources {
		before[s.Name] = s.Bytes
	}
	if n := len(r.stalls); n > 0 && r.stalls[n-1].to.IsZero() && e.Done > i.progress.Done {
		r.stalls[n-1].to = now
	}
	i.progress = e
	r.arrange(e.Sources)
	for _, p := range e.Sources {
		s := r.source(p.Name)
		s.add(int(now.Sub(r.began)/time.Second), p.Bytes-before[p.Name])
		s.state(now, p.State)
	}
}

// arrange puts the sources in the order of the pull's own list.
func (r *Recorder) arrange(order []segpull.SourceProgress) {
	place := func(s *source) int {
		i := slices.IndexFunc(order, func(p segpull.SourceProgress) bool { return p.Name == s.name })
		if i < 0 {
			return len(order) // of an earlier image from another registry
		}
		return i
	}
	for _, p := range order {
		r.source(p.Name)
	}
	slices.SortStableFunc(r.sources, func(a, b *source) int { return place(a) - place(b) })
}

// add adds bytes to those of a second.
func (s *source) add(second int, bytes int64) {
	s.bytes += bytes
	if bytes == 0 {
		return
	}
	for len(s.seconds) <= second {
		s.seconds = append(s.seconds, 0)
	}
	s.seconds[second] += bytes
}

// state records what a source does now, unless it works or waits for work.
func (s *source) state(now time.Time, state string) {
	if state == "active" || state == "waiting" {
		state = ""
	}
	last := ""
	if n := len(s.states); n > 0 && s.states[n-1].to.IsZero() {
		if last = s.states[n-1].text; last != state {
			s.states[n-1].to = now
		}
	}
	if state != "" && state != last {
		s.states = append(s.states, span{from: now, text: state})
	}
}

func (r *Recorder) request(now time.Time, e segpull.Request) {
	s := r.source(e.Source)
	s.made++
	if r.requests++; r.requests > mostRequests {
		return
	}
	from := now.Add(-e.Duration.Duration)
	s.requests = append(s.requests, request{e, from, from.Add(e.Waited.Duration), now})
}

// say records a message, and counts one that is there already.
func (r *Recorder) say(now time.Time, text string, bad bool) {
	for i := range r.messages {
		if r.messages[i].text == text {
			r.messages[i].times++
			return
		}
	}
	if len(r.messages) == mostMessages {
		r.omitted++
		return
	}
	r.messages = append(r.messages, message{now, text, bad, 1})
}
