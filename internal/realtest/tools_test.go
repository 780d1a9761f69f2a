package realtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// TestEveryFormatIsTaken reads each format by the tools that can.
func TestEveryFormatIsTaken(t *testing.T) {
	type taker func(*testing.T, string, registrytest.Image)
	docker, podman := startDocker(t), newPodman(t)
	dockerArchive, ociArchive := skopeo("docker-archive"), skopeo("oci-archive")
	all := []taker{docker.take, podman.take, dockerArchive, ociArchive, crane, regctl}
	layers := []int64{4 * mib, mib}
	for _, test := range []struct {
		name, format string
		image        registrytest.ImageOptions
		takers       []taker
	}{
		{"of OCI", "docker-archive", registrytest.ImageOptions{}, all},
		{"of Docker", "docker-archive", registrytest.ImageOptions{Docker: true}, all},
		{"uncompressed", "docker-archive", registrytest.ImageOptions{Compression: registrytest.Uncompressed}, all},
		// docker load reads zstd from version 23 on, which is not everywhere.
		{"zstd", "docker-archive", registrytest.ImageOptions{Compression: registrytest.Zstd}, []taker{podman.take, dockerArchive, ociArchive, regctl}},
		{"of OCI", "legacy", registrytest.ImageOptions{}, []taker{docker.take, podman.take, dockerArchive, crane}},
		{"of Docker", "legacy", registrytest.ImageOptions{Docker: true}, []taker{docker.take, podman.take, dockerArchive, crane}},
		{"zstd", "legacy", registrytest.ImageOptions{Compression: registrytest.Zstd}, []taker{docker.take, podman.take, dockerArchive, crane}},
		{"of OCI", "oci-archive", registrytest.ImageOptions{}, []taker{podman.take, ociArchive, regctl}},
		{"zstd", "oci-archive", registrytest.ImageOptions{Compression: registrytest.Zstd}, []taker{podman.take, ociArchive, regctl}},
		{"of OCI", "oci", registrytest.ImageOptions{}, []taker{skopeo("oci"), umoci}},
		{"of Docker", "oci", registrytest.ImageOptions{Docker: true}, []taker{skopeo("oci")}}, // umoci reads OCI's manifests alone
	} {
		t.Run(test.format+" "+test.name, func(t *testing.T) {
			test.image.Layers = layers
			img := newImage(t, test.image)
			first, second, _ := startMirrors(t, img)
			h := newHome(t)
			h.pull(t, "-m", first.url(), "-m", second.url(), "-f", test.format, "-o", "image", name)
			for _, take := range test.takers {
				take(t, h.path("image"), img)
			}
		})
	}
}

func (d docker) take(t *testing.T, path string, img registrytest.Image) {
	d.run(t, "load", "--input", path)
	d.check(t, name, img)
}

func TestStandardOutputIsTaken(t *testing.T) {
	docker := startDocker(t)
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{4 * mib, mib}})
	first, second, _ := startMirrors(t, img)
	for _, format := range []string{"docker-archive", "legacy"} {
		pull := newHome(t).command(t, "-m", first.url(), "-m", second.url(), "-f", format, "-o", "-", name)
		stream, err := pull.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := pull.Start(); err != nil {
			t.Fatal(err)
		}
		feed(t, stream, "docker", docker.args([]string{"load"})...)
		if err := pull.Wait(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		docker.check(t, name, img)
	}
}

// podman has images of its own.
type podman struct{ dir string }

func newPodman(t *testing.T) podman {
	t.Helper()
	needs.Programs(t, "podman")
	return podman{tempDir(t)}
}

func (p podman) args(args ...string) []string {
	return append([]string{
		"--root=" + filepath.Join(p.dir, "root"),
		"--runroot=" + filepath.Join(p.dir, "run"),
		"--tmpdir=" + filepath.Join(p.dir, "tmp"),
		"--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none",
	}, args...)
}

// mirroredPodman pulls through a server, by a registries.conf.
type mirroredPodman struct {
	podman
	registries string
}

func (p mirroredPodman) pull(t *testing.T) error {
	args := append([]string{"CONTAINERS_REGISTRIES_CONF=" + p.registries, "podman"}, p.args("pull", "--quiet", "docker.io/library/"+name)...)
	_, err := try(t, nil, "env", args...)
	return err
}

func (p mirroredPodman) check(t *testing.T, img registrytest.Image) {
	t.Helper()
	p.checkID(t, "docker.io/library/"+name, img)
}

func (p podman) take(t *testing.T, path string, img registrytest.Image) {
	t.Helper()
	said := run(t, "podman", p.args("load", "--input", path)...)
	loaded := strings.TrimSpace(strings.TrimPrefix(said, "Loaded image: "))
	p.checkID(t, loaded, img)
	run(t, "podman", p.args("image", "rm", loaded)...)
}

// checkID checks that an image is the right one.
func (p podman) checkID(t *testing.T, name string, img registrytest.Image) {
	t.Helper()
	if id := strings.TrimSpace(run(t, "podman", p.args("image", "inspect", "--format={{.Id}}", name)...)); id != img.Config.Digest.Encoded() {
		t.Errorf("podman calls %s %s, but its config is %s", name, id, img.Config.Digest)
	}
}

// skopeo reads an archive by one of its transports, with all layers.
func skopeo(transport string) func(*testing.T, string, registrytest.Image) {
	return func(t *testing.T, path string, img registrytest.Image) {
		t.Helper()
		needs.Programs(t, "skopeo")
		var config struct {
			RootFS struct {
				DiffIDs []string `json:"diff_ids"`
			} `json:"rootfs"`
		}
		source := transport + ":" + path
		if err := json.Unmarshal([]byte(run(t, "skopeo", "inspect", "--config", "--raw", source)), &config); err != nil {
			t.Fatal(err)
		}
		if len(config.RootFS.DiffIDs) != len(img.Layers) {
			t.Errorf("skopeo %s: %d layers, want %d", source, len(config.RootFS.DiffIDs), len(img.Layers))
		}
		run(t, "skopeo", "copy", source, "dir:"+filepath.Join(t.TempDir(), "copy"))
	}
}

// umoci unpacks the image of a layout.
func umoci(t *testing.T, path string, img registrytest.Image) {
	t.Helper()
	needs.Programs(t, "umoci")
	bundle := filepath.Join(t.TempDir(), "bundle")
	run(t, "umoci", "unpack", "--rootless", "--image", path+":22.04", bundle)
	out, err := exec.CommandContext(t.Context(), filepath.Join(bundle, "rootfs", "app")).Output()
	if err != nil || string(out) != greeting {
		t.Errorf("the program that umoci unpacked said %q: %v", out, err)
	}
	if entries, err := os.ReadDir(filepath.Join(bundle, "rootfs", "data")); err != nil || len(entries) != len(img.Layers)-1 {
		t.Errorf("umoci unpacked %d of %d layers: %v", len(entries)+1, len(img.Layers), err)
	}
}

// crane checks the layers and the config of a docker archive.
func crane(t *testing.T, path string, _ registrytest.Image) {
	t.Helper()
	needs.Programs(t, "crane")
	run(t, "crane", "validate", "--tarball", path)
}

// regctl imports an archive into a layout.
func regctl(t *testing.T, path string, _ registrytest.Image) {
	t.Helper()
	needs.Programs(t, "regctl")
	run(t, "regctl", "image", "import", "ocidir://"+filepath.Join(t.TempDir(), "layout")+":1", path)
}
