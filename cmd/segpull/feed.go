package main

import (
	"context"
	"sync"
	"time"

	"github.com/segpull/segpull"
)

const (
	// mostQueued is the most events that wait while the terminal is blocked.
	mostQueued = 1000
	// closeWithin is how long an interrupted pull waits for the terminal.
	closeWithin = 300 * time.Millisecond
)

// feed carries events from the pull to the views, so that a blocked terminal or
// pipe never delays the pull.
type feed struct {
	views   []view
	verbose bool

	mu     sync.Mutex
	some   sync.Cond // there are events, or there will be none
	queue  []stamped
	closed bool
	done   chan struct{}
}

type stamped struct {
	at    time.Time
	event segpull.Event
}

// newFeed starts a feed. Only a verbose feed passes on troubles and requests.
func newFeed(views []view, verbose bool) *feed {
	f := &feed{views: views, verbose: verbose, done: make(chan struct{})}
	f.some.L = &f.mu
	go f.run()
	return f
}

// Observe implements segpull.Observer. It never blocks.
func (f *feed) Observe(e segpull.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(stamped{time.Now(), e})
	f.some.Signal()
}

// add queues an event. A sample of an image replaces the one of the same kind that
// waits, and add drops troubles and requests if too many events wait.
func (f *feed) add(s stamped) {
	switch s.event.(type) {
	case segpull.Trouble, segpull.Request:
		if !f.verbose || len(f.queue) >= mostQueued {
			return
		}
	}
	if key := sampleOf(s.event); key != "" {
		for i, q := range f.queue {
			if sampleOf(q.event) == key {
				f.queue[i] = s
				return
			}
		}
	}
	f.queue = append(f.queue, s)
}

// sampleOf returns the name, as views show it, of what an event is the progress of, and ""
// for other events.
func sampleOf(e segpull.Event) string {
	switch e := e.(type) {
	case segpull.Progress:
		return e.Reference
	case segpull.Sending:
		return say("%s to %s", e.Reference, e.To)
	}
	return ""
}

func (f *feed) run() {
	defer close(f.done)
	for events := f.take(); events != nil; events = f.take() {
		for _, s := range events {
			for _, v := range f.views {
				v.show(s.at, s.event)
			}
		}
	}
	for _, v := range f.views {
		v.close()
	}
}

// take waits for events; it returns nil after close, when none are left.
func (f *feed) take() []stamped {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 && !f.closed {
		f.some.Wait()
	}
	events := f.queue
	f.queue = nil
	return events
}

// close waits until all events are shown; after the end of ctx, only for closeWithin.
func (f *feed) close(ctx context.Context) {
	f.mu.Lock()
	f.closed = true
	f.some.Signal()
	f.mu.Unlock()
	select {
	case <-f.done:
		return
	case <-ctx.Done():
	}
	select {
	case <-f.done:
	case <-time.After(closeWithin):
	}
}
