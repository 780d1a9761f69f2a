package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

var containerdReady = regexp.MustCompile(`msg=serving\.\.\. address="?([^" ]+/socket)"?$`)

// chunks is the setting with which containerd 2 fetches layers in chunks of 1 MiB.
const chunks = `[plugins."io.containerd.transfer.v1.local"]
concurrent_layer_fetch_buffer = 1048576`

// noRegistry is an image of a registry that does not exist: containerd, which asks the
// registry if the server fails, has only the server.
const noRegistry = "registry.invalid/library/" + name

// containerd is a containerd.
type containerd struct {
	dir    string
	hosts  string // its config_path
	socket string
}

// startContainerd runs a program that is containerd 1 or 2.
func startContainerd(t *testing.T, program string, settings ...string) containerd {
	t.Helper()
	needs.Programs(t, program)
	if os.Geteuid() != 0 {
		needs.Lack(t, "containerd needs root")
	}
	c := containerd{dir: tempDir(t)}
	c.hosts = filepath.Join(c.dir, "certs.d")
	config := write(t, c.dir, "config.toml", append([]string{
		"version = 2", // containerd 2 reads it too
		fmt.Sprintf("root = %q", filepath.Join(c.dir, "root")),
		fmt.Sprintf("state = %q", filepath.Join(c.dir, "state")),
		// These have directories and sockets outside of root and state.
		`disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]`,
		"[grpc]",
		fmt.Sprintf("address = %q", filepath.Join(c.dir, "socket")),
		`[plugins."io.containerd.grpc.v1.cri".registry]`,
		fmt.Sprintf("config_path = %q", c.hosts),
	}, settings...)...)
	c.socket = serve(t, containerdReady, program, "--config", config)
	return c
}

// mirror makes containerd, which runs, pull all images through the server at address.
func (c containerd) mirror(t *testing.T, h home, address string) containerd {
	t.Helper()
	all := filepath.Join(c.hosts, "_default")
	if err := os.MkdirAll(all, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, all, "hosts.toml", h.clientConfig(t, "containerd", address))
	return c
}

// check checks that containerd has the blobs of an image.
func (c containerd) check(t *testing.T, img registrytest.Image) {
	t.Helper()
	for _, b := range append(img.Layers, img.Config, img.Manifest) {
		path := filepath.Join(c.dir, "root", "io.containerd.content.v1.content", "blobs", "sha256", b.Digest.Encoded())
		if got := sumFile(t, path); got != string(b.Digest) {
			t.Errorf("containerd has %s in the place of %s", got, b.Digest)
		}
	}
}

// ctr pulls with the command line of containerd.
type ctr struct {
	containerd
	program string
}

func newCtr(t *testing.T, program string, c containerd) ctr {
	needs.Programs(t, program)
	return ctr{c, program}
}

func (c ctr) pull(t *testing.T) error {
	_, err := try(t, nil, c.program, "--address", c.socket, "images", "pull", "--hosts-dir", c.hosts, noRegistry)
	return err
}

// cri pulls as kubelet does.
type cri struct {
	containerd
	config string // of crictl
}

func newCRI(t *testing.T, c containerd) cri {
	needs.Programs(t, "crictl")
	endpoint := "unix://" + c.socket
	return cri{c, write(t, c.dir, "crictl.yaml", "runtime-endpoint: "+endpoint, "image-endpoint: "+endpoint)}
}

func (c cri) pull(t *testing.T) error {
	_, err := try(t, nil, "crictl", "--config", c.config, "--timeout", programTimeout.String(), "pull", noRegistry)
	return err
}
