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

// startDocker runs a dockerd. It starts its own containerd.
func startDocker(t *testing.T, args ...string) docker {
	t.Helper()
	needs.Programs(t, "containerd", "runc")
	return runDocker(t, []string{"dockerd"}, args...)
}

// runDocker runs a command, to which it adds flags for a dockerd that does not change this
// machine's network.
func runDocker(t *testing.T, command []string, args ...string) docker {
	t.Helper()
	needs.Programs(t, "docker", command[0])
	if os.Geteuid() != 0 {
		needs.Lack(t, "dockerd needs root")
	}
	dir := tempDir(t)
	data := filepath.Join(dir, "data")
	// Where mounts are private, dockerd mounts its data onto itself, and that
	// may outlive it.
	t.Cleanup(func() { exec.Command("umount", data).Run() })
	return docker{serve(t, dockerReady, command[0], append(append(command[1:], args...),
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

// dockerConfig is the flag for a dockerd that pulls through a server.
func dockerConfig(t *testing.T, h home, address string) string {
	return "--config-file=" + write(t, t.TempDir(), "daemon.json", h.clientConfig(t, "docker", address))
}

// mirroredDocker is a dockerd that pulls through a server.
type mirroredDocker struct{ docker }

func (m mirroredDocker) pull(t *testing.T) error {
	_, err := try(t, nil, "docker", m.args([]string{"pull", name})...)
	return err
}

func (m mirroredDocker) check(t *testing.T, img registrytest.Image) { m.docker.check(t, name, img) }

// docker29 is a dockerd that keeps its images in containerd, and pulls through a server.
type docker29 struct {
	docker
	images containerd
	ref    string
}

// newDocker29 runs a dockerd with the registry-mirrors of its configuration.
func newDocker29(t *testing.T, h home, address string) docker29 {
	needs.Extra(t, "dockerd29", "test-docker29")
	images := startContainerd(t, "containerd2")
	return docker29{runDocker(t, []string{"dockerd29"}, "--containerd="+images.socket, dockerConfig(t, h, address)), images, name}
}

// newDocker29ByHosts runs a dockerd that reads a hosts.toml for all registries. That must
// be below /etc/docker, so this dockerd has an /etc/docker of its own.
func newDocker29ByHosts(t *testing.T, h home, address string) docker29 {
	needs.Extra(t, "dockerd29", "test-docker29")
	images := startContainerd(t, "containerd2").mirror(t, h, address)
	command := []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/docker && exec dockerd29 "$@"`, filepath.Dir(images.hosts)}
	return docker29{runDocker(t, command, "--containerd="+images.socket), images, noRegistry}
}

func (d docker29) pull(t *testing.T) error {
	_, err := try(t, nil, "docker", d.args([]string{"pull", d.ref})...)
	return err
}

// check does not run the image: Debian's runc is too old for this docker.
func (d docker29) check(t *testing.T, img registrytest.Image) { d.images.check(t, img) }
