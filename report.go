package segpull

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/upstream"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/transfer"
	"github.com/segpull/segpull/verify"
)

// reporter makes events of what happens in a call or a server.
type reporter struct {
	observer Observer // receives the events; nil: they are dropped

	mu sync.Mutex // held while Observer.Observe runs
}

func (r *reporter) notify(e Event) {
	if r.observer == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observer.Observe(e)
}

// upstream returns the functions that get reports about sources.
func (r *reporter) upstream() upstream.Report {
	return upstream.Report{
		Warn: r.warn, Trouble: r.trouble, Request: r.request, Waiting: r.waiting, Stalled: r.stalled,
		Corrupt: func(f verify.Finding) { r.notify(Corrupt{Source: f.Source, Proof: f.Proof}) },
		Suspect: func(source, message string) { r.notify(Trouble{Source: source, Message: message}) },
	}
}

func (r *reporter) warn(message string) { r.notify(Warning{Message: message}) }

// warnf does the same with a format.
func (r *reporter) warnf(format string, args ...any) { r.warn(fmt.Sprintf(format, args...)) }

// warnOfAliases warns, once for each name, of those that podman takes for other images.
func (r *reporter) warnOfAliases(config sources.Config, names []string) {
	for i, name := range names {
		theirs, where, ok := config.Engines.Alias(name)
		if ok && !slices.Contains(names[:i], name) {
			r.warnf("%s is Docker Hub's image here; podman takes it for %s, by %s: to pull that one, write its full name", name, theirs, where)
		}
	}
}

// waiting reports sources that have not answered which image a reference names.
func (r *reporter) waiting(ref image.Reference, sources []string) {
	r.notify(Waiting{Reference: ref.Display(), Sources: sources})
}

// stalled reports why no byte of an image has arrived for some time.
func (r *reporter) stalled(ref image.Reference, silent time.Duration, reasons []error) {
	e := Stalled{Reference: ref.Display(), Silent: Duration{silent}, Reasons: []string{}}
	for _, reason := range reasons {
		e.Reasons = append(e.Reasons, reason.Error())
	}
	r.notify(e)
}

// trouble reports a request that failed.
func (r *reporter) trouble(source string, err error) {
	r.notify(Trouble{Source: source, Message: strings.TrimPrefix(err.Error(), source+": ")})
}

// request reports a request that has ended.
func (r *reporter) request(q transfer.Request) {
	e := Request{
		Source: q.Source, Digest: q.Blob.String(), Start: q.Range.Start, End: q.Range.End,
		Bytes: q.Bytes, Waited: Duration{q.Waited}, Duration: Duration{q.Took},
	}
	if q.Err != nil {
		e.Error = strings.TrimPrefix(q.Err.Error(), q.Source+": ")
	}
	r.notify(e)
}
