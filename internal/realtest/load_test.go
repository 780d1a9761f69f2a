package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// Each engine gets an image with the name, the digest and the bytes that it has.
func TestLoad(t *testing.T) {
	for _, test := range []struct {
		name  string
		image registrytest.ImageOptions
	}{
		{"of OCI", registrytest.ImageOptions{}},
		{"of Docker", registrytest.ImageOptions{Docker: true}},
	} {
		test.image.Layers = []int64{3 * mib, mib}
		img := newImage(t, test.image)
		first, second, _ := startMirrors(t, img)
		for engine, load := range map[string]func(t *testing.T, h home, img registrytest.Image, args ...string){
			"docker": dockerLoads, "containerd": containerdLoads, "podman": podmanLoads,
		} {
			t.Run(engine+" "+test.name, func(t *testing.T) {
				load(t, newHome(t), img, "-m", first.url(), "-m", second.url(), "--load="+engine)
			})
		}
	}
}

// load pulls the image into an engine, which has it under a name then.
func (h home) load(t *testing.T, img registrytest.Image, want string, args ...string) {
	t.Helper()
	h.env = append(h.env, "XDG_CACHE_HOME="+h.path("cache"))
	if got := h.pull(t, args...).stdout; got != fmt.Sprintln(img.Manifest.Digest, want) {
		t.Errorf("standard output has %q, want %s and %s", got, img.Manifest.Digest, want)
	}
	if left, err := os.ReadDir(h.path("cache/segpull/parts")); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func dockerLoads(t *testing.T, h home, img registrytest.Image, args ...string) {
	d := startDocker(t)
	h.env = append(h.env, "DOCKER_HOST=unix://"+d.socket)
	h.load(t, img, "docker.io/library/"+name, append(args, name)...)
	d.check(t, name, img)
	h.load(t, img, string(img.Config.Digest), append(args, "ubuntu@"+string(img.Manifest.Digest))...)
	d.check(t, string(img.Config.Digest), img)
}

// Docker 20.10 reads no zstd.
func TestLoadOfZstdSaysWhatHelps(t *testing.T) {
	d := startDocker(t)
	if version := d.run(t, "version", "--format={{.Server.Version}}"); !strings.HasPrefix(version, "20.") {
		t.Skip("docker reads zstd from version 23 on, and this is " + version)
	}
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{3 * mib}, Compression: registrytest.Zstd})
	first, _, _ := startMirrors(t, img)
	h := newHome(t)
	h.env = append(h.env, "DOCKER_HOST=unix://"+d.socket, "XDG_CACHE_HOME="+h.path("cache"))
	args := []string{"-m", first.url(), "--load=docker", name}
	if got := h.run(t, args...); got.code != 1 || !strings.Contains(got.stderr, "add --format legacy") {
		t.Errorf("it ended with code %d and said %s", got.code, got.stderr)
	}
	h.pull(t, append([]string{"--format", "legacy"}, args...)...)
	d.check(t, name, img)
}

func containerdLoads(t *testing.T, h home, img registrytest.Image, args ...string) {
	needs.Programs(t, "ctr")
	socket := startContainerd(t, "containerd").socket
	h.env = append(h.env, "CONTAINERD_ADDRESS="+socket, "CONTAINERD_NAMESPACE=k8s.io", "CONTAINERD_SNAPSHOTTER=native")
	byDigest := "docker.io/library/ubuntu@" + string(img.Manifest.Digest)
	h.load(t, img, "docker.io/library/"+name, append(args, name)...)
	h.load(t, img, byDigest, append(args, byDigest)...)
	said := run(t, "ctr", "--address", socket, "--namespace", "k8s.io", "images", "ls")
	for _, name := range []string{"docker.io/library/" + name, byDigest} {
		if !strings.Contains(said, name+" ") || !strings.Contains(said, string(img.Manifest.Digest)) {
			t.Errorf("containerd does not have %s:\n%s", name, said)
		}
	}
}

func podmanLoads(t *testing.T, h home, img registrytest.Image, args ...string) {
	p := newPodman(t)
	h.configureDocker(t, "{}") // podman wants the file that DOCKER_CONFIG names
	h.env = append(h.env,
		"CONTAINERS_STORAGE_CONF="+write(t, h.settings, "storage.conf",
			"[storage]", `driver = "vfs"`,
			fmt.Sprintf("graphroot = %q", filepath.Join(p.dir, "root")),
			fmt.Sprintf("runroot = %q", filepath.Join(p.dir, "run"))),
		"CONTAINERS_CONF="+write(t, h.settings, "containers.conf",
			"[engine]", `cgroup_manager = "cgroupfs"`, `events_logger = "none"`,
			fmt.Sprintf("tmp_dir = %q", filepath.Join(p.dir, "tmp"))))
	h.load(t, img, "docker.io/library/"+name, append(args, name)...)
	h.load(t, img, "docker.io/library/ubuntu:mine", append(args, "--name", "ubuntu:mine", "ubuntu@"+string(img.Manifest.Digest))...)
	said := run(t, "podman", p.args("image", "inspect", "--format={{.Id}} {{.Digest}} {{.RepoTags}}", name)...)
	want := fmt.Sprintln(img.Config.Digest.Encoded(), img.Manifest.Digest, "[docker.io/library/"+name+" docker.io/library/ubuntu:mine]")
	if said != want {
		t.Errorf("podman has %s, want %s", said, want)
	}
}
