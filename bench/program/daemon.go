package program

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// startTime is how long a server may take until it is ready.
const startTime = 20 * time.Second

// Daemon starts a server and waits until ready returns nil. stop ends the
// server and all its children.
func Daemon(at Place, cmd *exec.Cmd, ready func() error) (pid int, stop func(), err error) {
	output := keepOutput(cmd)
	if err := startGroup(at, cmd); err != nil {
		return 0, nil, err
	}
	pid = cmd.Process.Pid
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	stop = func() { endGroup(pid, ended) }
	if err := waitUntil(ready, ended); err != nil {
		stop()
		return 0, nil, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, LastLine(output.bytes))
	}
	return pid, stop, nil
}

// endGroup ends a process group, and returns when its leader has ended.
func endGroup(pid int, ended <-chan struct{}) {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-ended
}

func waitUntil(ready func() error, ended <-chan struct{}) error {
	over := time.After(startTime)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			return errors.New("the process ended at once")
		case <-over:
			return fmt.Errorf("not ready after %s: %w", startTime, err)
		}
	}
}
