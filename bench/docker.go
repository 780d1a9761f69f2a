package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// service is what a tool needs running beside it.
type service struct {
	pid  int // its time and memory count as the tool's
	stop func()
}

// dockerService runs a dockerd of its own on the user's host, with all mirrors
// of docker.io that the case has, the fastest first.
func dockerService(ctx context.Context, j job, at place) (service, error) {
	mirrors := slices.Clone(j.mirrors)
	slices.SortStableFunc(mirrors, func(a, b running) int { return cmp.Compare(b.Rate, a.Rate) })
	dir := j.dockerDir()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return service{}, err
	}
	args := []string{
		"--iptables=false", "--bridge=none", "--data-root=" + filepath.Join(dir, "data"), "--exec-root=" + filepath.Join(dir, "exec"),
		"--pidfile=" + filepath.Join(dir, "pid"), "--host=" + j.dockerSocket(), "--max-concurrent-downloads=10", "--log-level=error",
	}
	for _, m := range mirrors {
		args = append(args, "--registry-mirror="+m.url)
	}
	dockerd := exec.Command("dockerd", args...)
	dockerd.Env = j.environment()
	pid, stop, err := daemon(at, dockerd, func() error {
		return runQuiet(ctx, "docker", "--host", j.dockerSocket(), "info")
	})
	return service{pid, stop}, err
}

func (j job) dockerDir() string { return filepath.Join(j.dir, "dockerd") }

func (j job) dockerSocket() string { return "unix://" + filepath.Join(j.dockerDir(), "socket") }

func dockerCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "--host", j.dockerSocket(), "pull", "--quiet", j.repository+":"+j.tag), nil
}

// clockTick is USER_HZ, which is 100 on every architecture that Linux has.
const clockTick = 10 * time.Millisecond

// cpuTimeOf is what a running process, and those of its children that ended,
// have used so far.
func cpuTimeOf(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may have spaces; see proc(5).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime, cstime = 14 - 3, 17 - 3
	var ticks int64
	for _, field := range fields[utime : cstime+1] {
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}
