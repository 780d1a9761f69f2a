package soak

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/segpull/segpull/bench/program"
)

// result is how one process ended.
type result struct {
	program.Usage
	attempt
	signalled      time.Time     // when it got a signal to end; zero: never
	survived       time.Duration // from then to its end
	open           int           // responses at that moment
	stdout, stderr []byte
	events         []event
	path           string // of the output
	alone          bool   // no other process used the same output
}

// finished reports whether the image was pulled to its end. A kill may come after
// that.
func (p result) finished() bool {
	return p.Exit == 0 || slices.ContainsFunc(p.events, func(e event) bool { return e.Event == "finished" })
}

// hung reports whether the process ended only by SIGQUIT.
func (p result) hung() bool { return bytes.Contains(p.stderr, []byte("SIGQUIT")) }

// event is a line of --progress json, with the fields that are checked.
type event struct {
	Event    string `json:"event"`
	Done     int64  `json:"done"`
	Resumed  int64  `json:"resumed"`
	Source   string `json:"source"`
	ExitCode int    `json:"exit_code"`
}

// readEvents reads the lines that are events, and ignores others.
func readEvents(stderr []byte) (events []event) {
	for line := range bytes.Lines(stderr) {
		var e event
		if json.Unmarshal(line, &e) == nil {
			events = append(events, e)
		}
	}
	return events
}
