package soak

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/segpull/segpull/bench/program"
)

// hungAfter is how long a pull of seconds may take, on a busy machine and
// from the worst of mirrors. Then it says where it hangs, and is ended.
const hungAfter = 300 * time.Second

// uselessPatience is how long a pull may try without honest mirrors before it is
// interrupted: where they trickle, it goes on.
const uselessPatience = 20 * time.Second

var signals = map[blow]syscall.Signal{kill: syscall.SIGKILL, interrupt: syscall.SIGINT, terminate: syscall.SIGTERM}

// ending is what came of one process.
type ending struct {
	program.Usage
	run            attempt
	struck         time.Time     // when it was told to end; zero: it was not
	lived          time.Duration // after that
	open           int           // responses, at that moment
	stdout, stderr []byte
	events         []event
	path           string // of the output
	alone          bool   // no other process worked on it
}

// finished says whether the image was pulled to its end. A kill may come after
// that.
func (e ending) finished() bool {
	return e.Exit == 0 || slices.ContainsFunc(e.events, func(event event) bool { return event.Event == "finished" })
}

// event is a line of --progress json, as far as it is looked at.
type event struct {
	Event    string `json:"event"`
	Done     int64  `json:"done"`
	Resumed  int64  `json:"resumed"`
	Source   string `json:"source"`
	Digest   string `json:"digest"`
	ExitCode int    `json:"exit_code"`
}

// suffer runs a process to its end while the run's violence falls on it. open
// counts responses that are being sent.
func suffer(ctx context.Context, run attempt, cmd *exec.Cmd, open func() int) (ending, error) {
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	v := &violence{run: run, responses: open, over: make(chan struct{}), done: make(chan struct{})}
	u, err := program.Measure(ctx, v, cmd, 0, hungAfter+10*time.Second)
	if err != nil {
		return ending{}, err
	}
	close(v.over)
	<-v.done
	e := ending{Usage: u, run: run, struck: v.struck, open: v.open, stdout: stdout.Bytes(), stderr: stderr.Bytes()}
	if !v.struck.IsZero() {
		e.lived = v.started.Add(u.Wall).Sub(v.struck)
	}
	if run.progress == "json" {
		e.events = readEvents(e.stderr)
	}
	return e, nil
}

// violence is a place where what starts is soon struck.
type violence struct {
	program.Loopback
	run       attempt
	responses func() int
	started   time.Time
	struck    time.Time
	open      int
	over      chan struct{} // the process has ended
	done      chan struct{}
}

func (v *violence) Start(cmd *exec.Cmd) error {
	v.started = time.Now()
	if err := v.Loopback.Start(cmd); err != nil {
		return err
	}
	go v.strike(cmd.Process)
	return nil
}

// hit is a signal at a time after the start.
type hit struct {
	at     time.Duration
	signal syscall.Signal
	ends   bool // the process is to end by it
}

// hits are in the order in which they fall.
func (run attempt) hits() []hit {
	all := []hit{{at: hungAfter, signal: syscall.SIGQUIT}} // tells what each goroutine does
	if run.paused > 0 {
		all = append(all, hit{at: run.pausedAt, signal: syscall.SIGSTOP}, hit{at: run.pausedAt + run.paused, signal: syscall.SIGCONT})
	}
	if signal, ok := signals[run.blow]; ok {
		all = append(all, hit{run.after, signal, true})
	} else if run.useless {
		all = append(all, hit{uselessPatience, syscall.SIGINT, true})
	}
	slices.SortStableFunc(all, func(a, b hit) int { return cmp.Compare(a.at, b.at) })
	return all
}

func (v *violence) strike(p *os.Process) {
	defer close(v.done)
	for _, h := range v.run.hits() {
		wait := time.NewTimer(time.Until(v.started.Add(h.at)))
		select {
		case <-wait.C:
		case <-v.over:
			wait.Stop()
			return
		}
		open, now := v.responses(), time.Now()
		if p.Signal(h.signal) == nil && h.ends {
			v.struck, v.open = now, open
		}
	}
}

// readEvents reads the lines that are events; what else there is, the judge
// looks at.
func readEvents(stderr []byte) (events []event) {
	for line := range bytes.Lines(stderr) {
		var e event
		if json.Unmarshal(line, &e) == nil {
			events = append(events, e)
		}
	}
	return events
}
