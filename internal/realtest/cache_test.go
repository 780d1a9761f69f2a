package realtest

import (
	"cmp"
	"crypto/sha256"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// Two pulls share a cache, and one of them is killed. skopeo reads what the cache
// exports.
func TestTheCacheOfTwoPulls(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{16 * mib, 5 * mib}})
	origin := startRegistry(t)
	origin.push(t, "library/ubuntu", "22.04", newIndex(img))
	from := newGauge(t, origin)
	h := newHome(t)
	h.env = append(h.env, "SEGPULL_CACHE="+h.path("cache"))

	first := h.command(t, "-m", from.url, "--limit-rate", "4M", "-o", "first.tar", name)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for from.served.Load() < 3*mib {
		time.Sleep(time.Millisecond)
	}
	time.AfterFunc(500*time.Millisecond, func() { _ = first.Process.Signal(syscall.SIGKILL) })
	second := h.pull(t, "-m", from.url, "-o", "second.tar", name)
	_ = first.Wait() // it was killed
	h.checkArchive(t, "second.tar", img)
	if !strings.Contains(second.stderr, "another segpull fetches") {
		t.Errorf("the second pull did not wait: %s", second.stderr)
	}
	if served, most := from.served.Load(), totalSize(img)+2*mib; served > most {
		t.Errorf("%d bytes were served, want at most %d", served, most)
	}

	h.pull(t, "cache", "verify")
	if listed := h.pull(t, "cache", "ls").stdout; !strings.Contains(listed, name) {
		t.Errorf("cache ls prints\n%s", listed)
	}
}

// A client of a server gets what a pull fetches into the same cache. The pull is killed, and
// the server fetches the rest.
func TestAPullIsKilledUnderAServer(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{16 * mib}})
	origin, _, _ := startMirrors(t, img)
	from := newGauge(t, origin)
	h := newHome(t)
	layer := slices.MaxFunc(img.Layers, func(a, b registrytest.Blob) int { return cmp.Compare(a.Size, b.Size) })
	first := h.command(t, "-m", from.url, "--cache-dir", h.path("cache"), "--limit-rate", "4M", "-o", "first.tar", name)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for from.served.Load() < 2*mib {
		time.Sleep(time.Millisecond)
	}
	s := newServer(t, h, []string{from.url})
	get := func(path string) io.ReadCloser {
		resp, err := http.Get("http://" + s.address + "/v2/library/ubuntu/" + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		return resp.Body
	}
	get("manifests/" + string(img.Manifest.Digest)).Close()
	body := get("blobs/" + string(layer.Digest))
	defer body.Close()
	sum := sha256.New()
	if _, err := io.CopyN(sum, body, 4*mib); err != nil {
		t.Fatal(err)
	}
	if from.served.Load() > 15*mib {
		t.Error("the client has waited for the whole blob")
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	_, err := io.Copy(sum, body)
	if got := digest.NewDigest(digest.SHA256, sum); err != nil || got != layer.Digest {
		t.Errorf("the blob is %s, want %s, %v", got, layer.Digest, err)
	}
	if served, most := from.served.Load(), totalSize(img)+2*mib; served > most {
		t.Errorf("%d bytes were served, want at most %d", served, most)
	}
}

func TestSkopeoReadsWhatTheCacheExports(t *testing.T) {
	needs.Programs(t, "skopeo")
	r := startRegistry(t)
	images := map[string]registrytest.Image{
		"oci":    newImage(t, registrytest.ImageOptions{Seed: 1, Layers: []int64{mib}}),
		"docker": newImage(t, registrytest.ImageOptions{Seed: 2, Layers: []int64{mib}, Docker: true}),
		"index":  newImage(t, registrytest.ImageOptions{Seed: 3, Layers: []int64{mib}}),
		"list":   newImage(t, registrytest.ImageOptions{Seed: 4, Layers: []int64{mib}, Docker: true}),
	}
	h := newHome(t)
	h.env = append(h.env, "SEGPULL_CACHE="+h.path("cache"))
	for tag, img := range images {
		if tag == "index" || tag == "list" {
			img = newIndex(img)
		}
		r.push(t, "library/app", tag, img)
		h.pull(t, "-m", r.url(), "-o", tag+".tar", "app:"+tag)
	}
	h.pull(t, "cache", "export", "layout")
	for tag, img := range images {
		to := filepath.Join(t.TempDir(), "copy")
		run(t, "skopeo", "copy", "-q", "oci:"+h.path("layout")+":"+tag, "dir:"+to)
		for _, b := range append(img.Layers, img.Config) {
			if out, err := exec.Command("sha256sum", filepath.Join(to, b.Digest.Encoded())).Output(); err != nil || !strings.HasPrefix(string(out), b.Digest.Encoded()) {
				t.Errorf("%s: %s has %s, %v", tag, b.Digest, out, err)
			}
		}
	}
}
