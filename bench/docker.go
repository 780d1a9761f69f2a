package main

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/segpull/segpull/bench/program"
)

// service is what a tool needs running beside it.
type service struct {
	pid  int // its time and memory count as the tool's
	stop func()
}

// dockerService runs a dockerd of its own on the user's host, with all mirrors
// of docker.io that the case has, the fastest first.
func dockerService(ctx context.Context, j job, at program.Place) (service, error) {
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
	pid, stop, err := program.Daemon(at, dockerd, func() error {
		return program.Run(ctx, "docker", "--host", j.dockerSocket(), "info")
	})
	return service{pid, stop}, err
}

func (j job) dockerDir() string { return filepath.Join(j.dir, "dockerd") }

func (j job) dockerSocket() string { return "unix://" + filepath.Join(j.dockerDir(), "socket") }

func dockerCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "--host", j.dockerSocket(), "pull", "--quiet", j.repository+":"+j.tag), nil
}
