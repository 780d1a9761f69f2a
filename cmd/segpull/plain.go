package main

import (
	"fmt"
	"time"

	"github.com/segpull/segpull"
)

// plainEvery is the least time between two lines about one image.
const plainEvery = 5 * time.Second

// plain prints, for logs, a line at the start and at the end of an image, and in
// between one every plainEvery.
type plain struct {
	notices
	last map[string]time.Time // of the last line, by reference
}

func (p *plain) show(at time.Time, e segpull.Event) {
	switch e := e.(type) {
	case segpull.Waiting:
		fmt.Fprintln(p.out, waitingLine(e))
	case segpull.Resolved:
		p.last[e.Reference] = at
		fmt.Fprintln(p.out, resolvedLine(e))
	case segpull.Progress:
		if at.Sub(p.last[e.Reference]) >= plainEvery {
			p.last[e.Reference] = at
			fmt.Fprintln(p.out, progressLine(e))
		}
	case segpull.Finished:
		fmt.Fprintln(p.out, summary(e.Result))
	default:
		p.notices.show(at, e)
	}
}
