package main

import (
	"fmt"
	"time"

	"github.com/segpull/segpull"
)

const (
	// plainEvery is the least time between two lines about one image.
	plainEvery = 5 * time.Second
	// plainStill is the same while no byte of the image arrives.
	plainStill = time.Minute
)

// plain prints, for logs, a line at the start and at the end of an image, and in
// between one every plainEvery.
type plain struct {
	notices
	last map[string]plainLine // by reference
}

// plainLine is when a line was printed, and how many bytes were there.
type plainLine struct {
	at   time.Time
	done int64
}

func (p *plain) show(at time.Time, e segpull.Event) {
	switch e := e.(type) {
	case segpull.Waiting:
		fmt.Fprintln(p.out, waitingLine(e))
	case segpull.Resolved:
		p.last[e.Reference] = plainLine{at: at}
		fmt.Fprintln(p.out, resolvedLine(e))
	case segpull.Progress:
		last, every := p.last[e.Reference], plainEvery
		if e.Done == last.done {
			every = plainStill
		}
		if at.Sub(last.at) >= every {
			p.last[e.Reference] = plainLine{at, e.Done}
			fmt.Fprintln(p.out, progressLine(e))
		}
	case segpull.Sending:
		key := sampleOf(e)
		if last, begun := p.last[key]; !begun || at.Sub(last.at) >= plainEvery && e.Done > last.done {
			p.last[key] = plainLine{at, e.Done}
			fmt.Fprintln(p.out, sendingLine(e))
		}
	case segpull.Finished:
		fmt.Fprintln(p.out, summary(e.Result))
	default:
		p.notices.show(at, e)
	}
}
