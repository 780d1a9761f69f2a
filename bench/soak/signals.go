package soak

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/segpull/segpull/bench/program"
)

const (
	// hungAfter is how long a pull of seconds may take, on a busy machine and
	// from the worst mirrors. Then SIGQUIT ends it.
	hungAfter = 300 * time.Second
	// uselessTime is how long a pull may run without correct mirrors before it
	// is interrupted: where mirrors trickle, it does not end.
	uselessTime = 20 * time.Second
)

var signals = map[cause]syscall.Signal{kill: syscall.SIGKILL, interrupt: syscall.SIGINT, terminate: syscall.SIGTERM}

// timedSignal is a signal at a time after the start.
type timedSignal struct {
	at     time.Duration
	signal syscall.Signal
	ends   bool // the process has to end
}

// signals of an attempt, in the order of their times.
func (a attempt) signals() []timedSignal {
	all := []timedSignal{{at: hungAfter, signal: syscall.SIGQUIT}} // prints all goroutines
	if a.paused > 0 {
		all = append(all, timedSignal{at: a.pausedAt, signal: syscall.SIGSTOP}, timedSignal{at: a.pausedAt + a.paused, signal: syscall.SIGCONT})
	}
	if signal, ok := signals[a.cause]; ok {
		all = append(all, timedSignal{a.after, signal, true})
	} else if a.useless {
		all = append(all, timedSignal{uselessTime, syscall.SIGINT, true})
	}
	slices.SortStableFunc(all, func(a, b timedSignal) int { return cmp.Compare(a.at, b.at) })
	return all
}

// execute runs a process to its end, and sends it the signals of the attempt.
// open counts the responses that are being sent.
func execute(ctx context.Context, a attempt, cmd *exec.Cmd, open func() int) (result, error) {
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	s := &signaller{signals: a.signals(), responses: open, over: make(chan struct{}), done: make(chan struct{})}
	u, err := program.Measure(ctx, s, cmd, 0, hungAfter+10*time.Second)
	if err != nil {
		return result{}, err
	}
	close(s.over)
	<-s.done
	p := result{Usage: u, attempt: a, signalled: s.signalled, open: s.open, stdout: stdout.Bytes(), stderr: stderr.Bytes()}
	if !s.signalled.IsZero() {
		p.survived = s.started.Add(u.Wall).Sub(s.signalled)
	}
	if a.progress == "json" {
		p.events = readEvents(p.stderr)
	}
	return p, nil
}

// signaller is the loopback Place for one process, which it sends signals.
type signaller struct {
	program.Loopback
	signals   []timedSignal
	responses func() int
	started   time.Time
	signalled time.Time
	open      int
	over      chan struct{} // closed when the process has ended
	done      chan struct{} // closed when no more signals are sent
}

// Start starts the process.
func (s *signaller) Start(cmd *exec.Cmd) error {
	s.started = time.Now()
	if err := s.Loopback.Start(cmd); err != nil {
		return err
	}
	go s.send(cmd.Process)
	return nil
}

func (s *signaller) send(p *os.Process) {
	defer close(s.done)
	for _, next := range s.signals {
		wait := time.NewTimer(time.Until(s.started.Add(next.at)))
		select {
		case <-wait.C:
		case <-s.over:
			wait.Stop()
			return
		}
		open, now := s.responses(), time.Now()
		if p.Signal(next.signal) == nil && next.ends {
			s.signalled, s.open = now, open
		}
	}
}
