package realtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

var dockerReady = regexp.MustCompile(`msg="API listen on ([^"]+)"`)

// docker is a dockerd.
type docker struct{ socket string }

// startDocker runs a dockerd that does not change this machine's network. It starts its
// own containerd.
func startDocker(t *testing.T, args ...string) docker {
	t.Helper()
	needs.Programs(t, "docker", "dockerd", "containerd", "runc")
	if os.Geteuid() != 0 {
		needs.Lack(t, "dockerd needs root")
	}
	dir := tempDir(t)
	data := filepath.Join(dir, "data")
	// Where mounts are private, dockerd mounts its data onto itself, and that
	// may outlive it.
	t.Cleanup(func() { exec.Command("umount", data).Run() })
	return docker{serve(t, dockerReady, "dockerd", append(args,
		"--data-root="+data,
		"--exec-root="+filepath.Join(dir, "exec"),
		"--pidfile="+filepath.Join(dir, "pid"),
		"--host=unix://"+filepath.Join(dir, "socket"),
		"--iptables=false", "--ip6tables=false", "--bridge=none")...)}
}

func (d docker) run(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "docker", d.args(args)...)
}

func (d docker) args(args []string) []string {
	return append([]string{"--host=unix://" + d.socket}, args...)
}

// check checks that a loaded image is the right one and runs, and removes it.
func (d docker) check(t *testing.T, name string, img registrytest.Image) {
	t.Helper()
	if id := strings.TrimSpace(d.run(t, "image", "inspect", "--format={{.Id}}", name)); id != string(img.Config.Digest) {
		t.Errorf("docker calls the image %s, but its config is %s", id, img.Config.Digest)
	}
	if said := d.run(t, "run", "--rm", "--network=none", name); said != greeting {
		t.Errorf("the container said %q, want %q", said, greeting)
	}
	d.run(t, "image", "rm", name)
}
