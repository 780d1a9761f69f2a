package realtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

var (
	servingAt       = regexp.MustCompile(`listening on (http://\S+)`)
	containerdReady = regexp.MustCompile(`msg=serving\.\.\. address=(\S+/socket)$`)
)

// startServer runs segpull serve before mirrors, and returns its host and port.
func startServer(t *testing.T, h home, args ...string) string {
	t.Helper()
	args = append([]string{"-i", "PATH=" + os.Getenv("PATH"), "HOME=" + h.settings, binary, "serve", "--listen", "127.0.0.1:0", "--cache-dir", h.path("cache")}, args...)
	return strings.TrimPrefix(serve(t, servingAt, "env", args...), "http://")
}

// clientConfig is what segpull prints for a client of a server.
func (h home) clientConfig(t *testing.T, client, address string) string {
	t.Helper()
	return h.pull(t, "serve", "--print-config", client, "--listen", address).stdout
}

// Each client pulls an image through the server, by what --print-config says, and the
// mirrors send it once.
func TestEnginesPullThroughTheServer(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{24 * mib, 7 * mib, 2 * mib}})
	first, second, _ := startMirrors(t, img)
	a, b := newGauge(t, first), newGauge(t, second)
	h := newHome(t)
	address := startServer(t, h, "-m", a.url, "-m", b.url)
	for client, pull := range map[string]func(*testing.T, home, string, registrytest.Image){
		"docker": dockerPulls, "containerd": ctrPulls, "podman": podmanPulls, "skopeo": skopeoCopies, "crane": cranePulls, "regctl": regctlCopies,
	} {
		t.Run(client, func(t *testing.T) { pull(t, h, address, img) })
	}
	if served, need := a.served.Load()+b.served.Load(), totalSize(img); float64(served) > 1.03*float64(need) {
		t.Errorf("the mirrors sent %d bytes of %d", served, need)
	}
}

func dockerPulls(t *testing.T, h home, address string, img registrytest.Image) {
	config := write(t, t.TempDir(), "daemon.json", h.clientConfig(t, "docker", address))
	d := startDocker(t, "--config-file="+config)
	d.run(t, "pull", name)
	d.check(t, name, img)
}

// startContainerd runs a containerd, and returns its socket.
func startContainerd(t *testing.T) (socket string) {
	t.Helper()
	needs.Programs(t, "containerd", "ctr")
	dir := tempDir(t)
	config := write(t, dir, "config.toml",
		"version = 2",
		fmt.Sprintf("root = %q", filepath.Join(dir, "root")),
		fmt.Sprintf("state = %q", filepath.Join(dir, "state")),
		fmt.Sprintf("disabled_plugins = [%q]", "io.containerd.grpc.v1.cri"),
		"[grpc]",
		fmt.Sprintf("address = %q", filepath.Join(dir, "socket")))
	return serve(t, containerdReady, "containerd", "--config", config)
}

func ctrPulls(t *testing.T, h home, address string, img registrytest.Image) {
	socket := startContainerd(t)
	hosts := filepath.Join(t.TempDir(), "certs.d", "_default")
	if err := os.MkdirAll(hosts, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, hosts, "hosts.toml", h.clientConfig(t, "containerd", address))
	ref := "docker.io/library/" + name
	run(t, "ctr", "--address", socket, "images", "pull", "--snapshotter", "native", "--hosts-dir", filepath.Dir(hosts), ref)
	if said := run(t, "ctr", "--address", socket, "content", "ls", "-q"); !strings.Contains(said, string(img.Layers[0].Digest)) {
		t.Errorf("containerd has\n%s", said)
	}
}

func podmanPulls(t *testing.T, h home, address string, img registrytest.Image) {
	p := newPodman(t)
	t.Setenv("CONTAINERS_REGISTRIES_CONF", write(t, t.TempDir(), "registries.conf", h.clientConfig(t, "podman", address)))
	said := strings.TrimSpace(run(t, "podman", p.args("pull", "--quiet", "docker.io/library/"+name)...))
	if said != img.Config.Digest.Encoded() {
		t.Errorf("podman calls it %s, but its config is %s", said, img.Config.Digest)
	}
}

func skopeoCopies(t *testing.T, h home, address string, img registrytest.Image) {
	needs.Programs(t, "skopeo")
	config := write(t, t.TempDir(), "registries.conf", h.clientConfig(t, "podman", address))
	dir := filepath.Join(t.TempDir(), "copy")
	run(t, "skopeo", "--registries-conf", config, "copy", "--quiet", "docker://docker.io/library/"+name, "dir:"+dir)
	for _, b := range img.Layers {
		if got := sumFile(t, filepath.Join(dir, b.Digest.Encoded())); got != string(b.Digest) {
			t.Errorf("skopeo has %s in the place of %s", got, b.Digest)
		}
	}
}

func cranePulls(t *testing.T, _ home, address string, _ registrytest.Image) {
	needs.Programs(t, "crane")
	run(t, "crane", "validate", "--insecure", "--remote", address+"/docker.io/library/"+name)
}

func regctlCopies(t *testing.T, _ home, address string, _ registrytest.Image) {
	needs.Programs(t, "regctl")
	t.Setenv("REGCTL_CONFIG", filepath.Join(t.TempDir(), "config.json"))
	run(t, "regctl", "registry", "set", "--tls", "disabled", address)
	run(t, "regctl", "image", "copy", address+"/library/"+name, "ocidir://"+filepath.Join(t.TempDir(), "layout")+":1")
}

func sumFile(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return sum(t, f)
}

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		t.Fatal(err)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

// A server is killed while it sends a blob. The next one continues, and so does the client.
func TestTheServerIsKilled(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{40 * mib}})
	first, second, _ := startMirrors(t, img)
	a, b := newGauge(t, first), newGauge(t, second)
	a.limit.SetLimit(6 * mib)
	b.limit.SetLimit(6 * mib)
	h := newHome(t)
	address := freeAddress(t)
	args := []string{"serve", "--listen", address, "--cache-dir", h.path("cache"), "-m", a.url, "-m", b.url}
	start := func() *exec.Cmd {
		cmd := h.command(t, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		waitFor(t, address)
		return cmd
	}
	get := func(path string, from int64) io.ReadCloser {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/v2/library/ubuntu/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if from > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		return resp.Body
	}
	killed := start()
	var layer registrytest.Blob
	for _, l := range img.Layers {
		if l.Size > layer.Size {
			layer = l
		}
	}
	get("manifests/22.04", 0).Close()
	get("manifests/"+string(img.Manifest.Digest), 0).Close()
	body := get("blobs/"+string(layer.Digest), 0)
	var got strings.Builder
	if _, err := io.CopyN(&got, body, 12*mib); err != nil {
		t.Fatal(err)
	}
	open := a.open.Load() + b.open.Load()
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // it was killed
	if _, err := io.Copy(&got, body); err == nil {
		t.Error("the answer of a server that was killed ends as if it were complete")
	}
	a.settle(t)
	b.settle(t)
	start()
	rest := get("blobs/"+string(layer.Digest), int64(got.Len()))
	defer rest.Close()
	if digest := sum(t, io.MultiReader(strings.NewReader(got.String()), rest)); digest != string(layer.Digest) {
		t.Errorf("the blob is %s, want %s", digest, layer.Digest)
	}
	twice := a.served.Load() + b.served.Load() - layer.Size
	t.Logf("%d bytes were fetched again; %d connections were open", twice, open)
	if most := open * mib; twice > most {
		t.Errorf("%d bytes were fetched again, want at most %d", twice, most)
	}
}

// A thousand clients that hardly read, half of them of a blob that is being fetched, hold
// up nobody, and cost little memory.
func TestAThousandClients(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is measured by /proc")
	}
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{48 * mib, 64 * mib}})
	first, second, _ := startMirrors(t, img)
	a, b := newGauge(t, first), newGauge(t, second)
	h := newHome(t)
	address := freeAddress(t)
	cmd := h.command(t, "serve", "--listen", address, "--cache-dir", h.path("cache"), "-m", a.url, "-m", b.url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(cmd) })
	waitFor(t, address)
	fetch := func(path string) int64 {
		resp, err := http.Get("http://" + address + "/v2/library/ubuntu/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		return n
	}
	fetch("manifests/22.04")
	fetch("manifests/" + string(img.Manifest.Digest))
	var layers []registrytest.Blob
	for _, l := range img.Layers {
		if l.Size > 40*mib {
			layers = append(layers, l)
		}
	}
	fetch("blobs/" + string(layers[0].Digest))
	a.limit.SetLimit(8 * mib)
	b.limit.SetLimit(8 * mib)
	for i := range 1000 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v2/library/ubuntu/blobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n", layers[i%2].Digest, address)
		if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if n := fetch("blobs/" + string(layers[1].Digest)); n != layers[1].Size {
		t.Errorf("%d bytes", n)
	}
	took := time.Since(began)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	kib, _ := strconv.Atoi(string(peak[1]))
	t.Logf("another client needed %v; the most memory was %d MiB", took, kib>>10)
	if kib > 128<<10 {
		t.Errorf("%d MiB of memory", kib>>10)
	}
	if took > time.Minute { // the others may keep their connections for 2 minutes
		t.Errorf("another client needed %v", took)
	}
}

func waitFor(t *testing.T, address string) {
	t.Helper()
	for range 1000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server does not start")
}

// freeAddress is a port of loopback that nobody uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
