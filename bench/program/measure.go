package program

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Usage is what a process used, and how it ended.
type Usage struct {
	Wall time.Duration
	CPU  time.Duration // user and system
	Peak int64         // most resident memory, in bytes
	Exit int           // -1: a signal ended it
	Err  string        // the last line of its output, if it failed
}

const (
	// peakPoll is the interval at which Measure reads a process's memory.
	peakPoll = 20 * time.Millisecond
	// grace is the time between SIGTERM and SIGKILL.
	grace = 3 * time.Second
)

// Measure runs a process to its end, or ends it when the context or the limit
// does. What the process helper uses counts too; 0: there is none. The output
// goes where cmd says, or is kept for Usage.Err.
func Measure(ctx context.Context, at Place, cmd *exec.Cmd, helper int, limit time.Duration) (Usage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("given up after %s", limit.Round(time.Second)))
	defer cancel()
	output := keepOutput(cmd)
	start, before := time.Now(), CPUTime(helper)
	if err := startGroup(at, cmd); err != nil {
		return Usage{}, err
	}
	stop := watch(ctx, cmd.Process.Pid)
	err := cmd.Wait()
	u := Usage{Wall: time.Since(start), Exit: cmd.ProcessState.ExitCode()}
	u.Peak = max(stop(), PeakMemory(helper))
	u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + CPUTime(helper) - before
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // children that outlived it
	switch {
	case ctx.Err() != nil:
		u.Exit, u.Err = -1, context.Cause(ctx).Error()
	case err != nil:
		u.Err = cmp.Or(LastLine(output.bytes), err.Error())
	}
	return u, nil
}

// keepOutput lets a tail take what cmd would discard.
func keepOutput(cmd *exec.Cmd) *tail {
	output := &tail{max: maxOutput}
	if cmd.Stderr == nil {
		cmd.Stderr = output
	}
	if cmd.Stdout == nil {
		cmd.Stdout = output
	}
	return output
}

// startGroup starts a process in a process group of its own.
func startGroup(at Place, cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = grace
	return at.Start(cmd)
}

// watch follows a process's memory, and ends the process when the context
// ends. The process has ended when stop is called, which returns the peak.
func watch(ctx context.Context, pid int) (stop func() (peak int64)) {
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- follow(ctx, pid, ended) }()
	return func() int64 {
		close(ended)
		return <-peak
	}
}

func follow(ctx context.Context, pid int, ended <-chan struct{}) (peak int64) {
	poll := time.NewTicker(peakPoll)
	defer poll.Stop()
	over := ctx.Done()
	var kill <-chan time.Time
	for {
		peak = max(peak, PeakMemory(pid))
		select {
		case <-ended:
			return peak
		case <-over:
			over = nil
			_ = syscall.Kill(-pid, syscall.SIGTERM)
			kill = time.After(grace)
		case <-kill:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		case <-poll.C:
		}
	}
}
