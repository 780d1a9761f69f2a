package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process took.
type usage struct {
	Wall time.Duration
	CPU  time.Duration // user and system
	Peak int64         // most resident memory, in bytes
	Exit int           // -1: ended by a signal
	Err  string        // the last line it said, if it failed
}

const (
	peakPoll = 20 * time.Millisecond
	// grace is what a process gets to end after it was asked to.
	grace = 3 * time.Second
	// maxSaid is how much of a process's words is kept.
	maxSaid = 64 << 10
)

// measure runs a process to its end, or until the context or the time is
// over. A servant is a process that works for it; 0: none. The error is for one that could not be started; that it failed is in
// the usage.
func measure(ctx context.Context, at place, cmd *exec.Cmd, servant int, limit time.Duration) (usage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("given up after %s", limit.Round(time.Second)))
	defer cancel()
	said := &tail{max: maxSaid}
	if cmd.Stderr == nil {
		cmd.Stderr = said
	}
	if cmd.Stdout == nil {
		cmd.Stdout = said
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // to end its children too
	cmd.WaitDelay = grace

	start, before := time.Now(), cpuTimeOf(servant)
	if err := at.Start(cmd); err != nil {
		return usage{}, err
	}
	ended := make(chan struct{})
	var peak int64
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		peak = watch(ctx, cmd.Process.Pid, ended)
	}()
	err := cmd.Wait()
	wall := time.Since(start)
	close(ended)
	<-watched
	// Children that outlived it.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)

	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + cpuTimeOf(servant) - before
	u := usage{Wall: wall, Peak: max(peak, peakMemory(servant)), CPU: cpu, Exit: cmd.ProcessState.ExitCode()}
	switch {
	case ctx.Err() != nil:
		u.Err = context.Cause(ctx).Error()
		u.Exit = -1
	case err != nil:
		u.Err = said.lastLine()
		if u.Err == "" {
			u.Err = err.Error()
		}
	}
	return u, nil
}

// watch returns the process's peak of memory once it ended, and ends it when
// the context is over.
func watch(ctx context.Context, pid int, ended <-chan struct{}) (peak int64) {
	poll := time.NewTicker(peakPoll)
	defer poll.Stop()
	done := ctx.Done()
	kill := make(<-chan time.Time)
	for {
		peak = max(peak, peakMemory(pid))
		select {
		case <-ended:
			return peak
		case <-done:
			done = nil
			_ = syscall.Kill(-pid, syscall.SIGTERM)
			kill = time.After(grace)
		case <-kill:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		case <-poll.C:
		}
	}
}

// peakMemory reads the high-water mark from /proc. getrusage(2) would give the
// parent's where that is higher, since it counts from before exec.
func peakMemory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kb, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil {
		return 0 // it has ended
	}
	return kb << 10
}

// tail keeps the end of what is written to it.
type tail struct {
	max   int
	bytes []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - t.max; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
	}
	return len(p), nil
}

// lastLine is the last one that is not empty.
func (t *tail) lastLine() string {
	lines := strings.FieldsFunc(string(t.bytes), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			return line
		}
	}
	return ""
}

// runQuiet runs a helper command to its end; what it said is in the error.
func runQuiet(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), errors.Join(err, errors.New(string(bytes.TrimSpace(out)))))
	}
	return nil
}
