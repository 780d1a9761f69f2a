package pulltest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/segpull/segpull"
)

// Recorder keeps all events.
type Recorder struct {
	mu     sync.Mutex
	Events []segpull.Event
	Hook   func(segpull.Event)
}

func (r *Recorder) Observe(e segpull.Event) {
	r.mu.Lock()
	r.Events = append(r.Events, e)
	r.mu.Unlock()
	if r.Hook != nil {
		r.Hook(e)
	}
}

// EventsOf returns the events of one kind.
func EventsOf[E segpull.Event](r *Recorder) []E {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []E
	for _, e := range r.Events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

func (r *Recorder) Warnings() string {
	var lines []string
	for _, w := range EventsOf[segpull.Warning](r) {
		lines = append(lines, w.Message)
	}
	return strings.Join(lines, "\n")
}

// CancelAt cancels the context when done bytes are on disk, and records the time.
func CancelAt(done int64) (ctx context.Context, rec *Recorder, at func() time.Time) {
	ctx, cancel := context.WithCancel(context.Background())
	var cancelled time.Time
	rec = &Recorder{Hook: func(e segpull.Event) {
		if p, ok := e.(segpull.Progress); ok && p.Done >= done && cancelled.IsZero() {
			cancelled = time.Now()
			cancel()
		}
	}}
	return ctx, rec, func() time.Time { return cancelled }
}
