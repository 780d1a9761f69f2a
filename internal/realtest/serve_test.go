package realtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// server is a segpull serve with an address that it keeps when it is started again.
type server struct {
	home    home
	address string // host:port
	args    []string
	cmd     *exec.Cmd
	log     bytes.Buffer // to read when it was killed
}

// newServer starts a server of a user before mirrors.
func newServer(t *testing.T, h home, mirrors []string, args ...string) *server {
	t.Helper()
	s := &server{home: h, address: freeAddress(t)}
	s.prepare(t, mirrors, append([]string{"--listen", s.address}, args...)...)
	s.start(t)
	return s
}

// prepare sets the arguments of a server before mirrors, and shows its log if the test fails.
func (s *server) prepare(t *testing.T, mirrors []string, args ...string) {
	s.args = append([]string{"serve", "--cache-dir", s.home.path("cache")}, args...)
	for _, m := range mirrors {
		s.args = append(s.args, "-m", m)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", &s.log)
		}
	})
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = s.home.command(t, s.args...)
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	waitFor(t, s.address)
}

// kill kills the server with SIGKILL.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // the error is that it was killed
}

// clientConfig is what segpull prints for a client of a server.
func (h home) clientConfig(t *testing.T, client, address string) string {
	t.Helper()
	return h.pull(t, "serve", "--print-config", client, "--listen", address).stdout
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
	s := newServer(t, newHome(t), []string{a.url, b.url})
	get := func(path string, from int64) io.ReadCloser {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.address+"/v2/library/ubuntu/"+path, nil)
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
	s.kill()
	if _, err := io.Copy(&got, body); err == nil {
		t.Error("the answer of a server that was killed ends as if it were complete")
	}
	a.settle(t)
	b.settle(t)
	s.start(t)
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
	s := newServer(t, newHome(t), []string{a.url, b.url})
	fetch := func(path string) int64 {
		resp, err := http.Get("http://" + s.address + "/v2/library/ubuntu/" + path)
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
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v2/library/ubuntu/blobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n", layers[i%2].Digest, s.address)
		if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if n := fetch("blobs/" + string(layers[1].Digest)); n != layers[1].Size {
		t.Errorf("%d bytes", n)
	}
	took := time.Since(began)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
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

// freeAddress is a port of loopback that nobody uses. The kernel chooses no port below
// 32768 for others.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
