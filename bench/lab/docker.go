package lab

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/segpull/segpull/bench/program"
)

// dockerService runs a dockerd on the user's host, with the case's mirrors as
// mirrors of docker.io, the fastest first.
func dockerService(ctx context.Context, j job, at program.Place) (service, error) {
	mirrors := slices.Clone(j.mirrors)
	slices.SortStableFunc(mirrors, func(a, b server) int { return cmp.Compare(b.Rate, a.Rate) })
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
	return service{pid: pid, stop: stop}, err
}

func (j job) dockerDir() string { return filepath.Join(j.dir, "dockerd") }

func (j job) dockerSocket() string { return "unix://" + filepath.Join(j.dockerDir(), "socket") }

func dockerCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "--host", j.dockerSocket(), "pull", "--quiet", repository+":"+tag), nil
}
