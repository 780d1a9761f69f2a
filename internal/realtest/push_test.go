package realtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// door is a proxy before a registry that records what is pushed.
type door struct {
	host     string
	registry string // its own host
	mu       sync.Mutex
	puts     []string // what answered 201: "mount DIGEST", "blob DIGEST", "manifest REFERENCE"
}

func newDoor(t *testing.T, r registry) *door {
	t.Helper()
	target, err := url.Parse(r.url())
	if err != nil {
		t.Fatal(err)
	}
	d := &door{registry: r.host}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // it names itself in Location
		},
		ModifyResponse: func(resp *http.Response) error {
			d.record(resp)
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	d.host = strings.TrimPrefix(server.URL, "http://")
	return d
}

func (d *door) record(resp *http.Response) {
	if resp.StatusCode != http.StatusCreated {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	query := resp.Request.URL.Query()
	switch {
	case query.Has("mount"):
		d.puts = append(d.puts, "mount "+query.Get("mount"))
	case query.Has("digest"):
		d.puts = append(d.puts, "blob "+query.Get("digest"))
	default:
		d.puts = append(d.puts, "manifest "+filepath.Base(resp.Request.URL.Path))
	}
}

// take returns what was pushed since the last call.
func (d *door) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	puts := d.puts
	d.puts = nil
	return puts
}

func count(puts []string, what string) (n int) {
	for _, put := range puts {
		if strings.HasPrefix(put, what+" ") {
			n++
		}
	}
	return n
}

// checkPushed lets skopeo read an image from a registry: its digest, and all its blobs.
func (h home) checkPushed(t *testing.T, ref string, want digest.Digest) {
	t.Helper()
	needs.Programs(t, "skopeo")
	var found struct{ Digest digest.Digest }
	if err := json.Unmarshal([]byte(run(t, "skopeo", "inspect", "--tls-verify=false", "docker://"+ref)), &found); err != nil {
		t.Fatal(err)
	}
	if found.Digest != want {
		t.Errorf("%s is %s, want %s", ref, found.Digest, want)
	}
	run(t, "skopeo", "copy", "--quiet", "--src-tls-verify=false", "docker://"+ref, "dir:"+filepath.Join(t.TempDir(), "copy"))
}

func (h *home) ownCache() { h.env = append(h.env, "XDG_CACHE_HOME="+h.path("cache")) }

func TestPushIntoARegistry(t *testing.T) {
	for what, opts := range map[string]registrytest.ImageOptions{
		"OCI": {Layers: []int64{3 * mib, mib}}, "Docker": {Layers: []int64{3 * mib, mib}, Docker: true},
	} {
		img := newImage(t, opts)
		first, second, _ := startMirrors(t, img)
		to := newDoor(t, startRegistry(t))
		h := newHome(t)
		h.ownCache()
		args := []string{"-m", first.url(), "-m", second.url()}
		h.pull(t, append(args, "--to", to.host+"/team/app:1", name)...)
		if puts := to.take(); count(puts, "blob") != len(img.Layers)+1 || puts[len(puts)-1] != "manifest 1" {
			t.Errorf("%s: it pushed %v", what, puts)
		}
		h.checkPushed(t, to.registry+"/team/app:1", img.Manifest.Digest)

		h.pull(t, append(args, "--to", to.host+"/team/app:1", name)...)
		if puts := to.take(); len(puts) > 0 {
			t.Errorf("%s: it pushed again: %v", what, puts)
		}
		h.pull(t, append(args, "--to", to.host+"/mirror/", name, "ubuntu@"+string(img.Manifest.Digest))...)
		if puts := to.take(); count(puts, "mount")+count(puts, "blob") != len(img.Layers)+1 {
			t.Errorf("%s: it pushed %v", what, puts)
		}
		h.checkPushed(t, to.registry+"/mirror/library/"+name, img.Manifest.Digest)
	}
}

// An index goes with all that it lists.
func TestPushAnIndex(t *testing.T) {
	needs.Programs(t, "skopeo")
	for what, opts := range map[string]registrytest.ImageOptions{
		"OCI": {Layers: []int64{3 * mib}}, "Docker": {Layers: []int64{3 * mib}, Docker: true},
	} {
		first, second, index := startMirrors(t, newImage(t, opts))
		to := newDoor(t, startRegistry(t))
		h := newHome(t)
		h.ownCache()
		args := []string{"-m", first.url(), "-m", second.url(), "--all-platforms"}
		h.pull(t, append(args, "--to", to.host+"/team/app:1", name)...)
		if puts := to.take(); count(puts, "manifest") != 3 || puts[len(puts)-1] != "manifest 1" {
			t.Errorf("%s: it pushed %v", what, puts)
		}
		if raw := run(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+to.registry+"/team/app:1"); digest.FromString(raw) != index.Manifest.Digest {
			t.Errorf("%s: the registry has another index: %s", what, raw)
		}
		run(t, "skopeo", "copy", "--quiet", "--all", "--src-tls-verify=false", "docker://"+to.registry+"/team/app:1", "dir:"+filepath.Join(t.TempDir(), "copy"))
		h.pull(t, append(args, "-f", "oci", "-o", "layout", name)...)
		run(t, "skopeo", "copy", "--quiet", "--all", "oci:"+h.path("layout"), "dir:"+filepath.Join(t.TempDir(), "copy"))
	}
}

// What another repository of the registry has is mounted, not sent.
func TestPushMountsWhatTheRegistryHas(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{3 * mib, mib}})
	r := startRegistry(t)
	r.push(t, "team/app", "1", img)
	to := newDoor(t, r)
	h := newHome(t)
	h.ownCache()
	h.pull(t, "--to", to.host+"/copies/app", to.host+"/team/app:1")
	if puts := to.take(); count(puts, "mount") != len(img.Layers)+1 || count(puts, "blob") != 0 {
		t.Errorf("it pushed %v", puts)
	}
	h.checkPushed(t, to.registry+"/copies/app:1", img.Manifest.Digest)
}

func TestAKilledPushContinues(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{12 * mib, 3 * mib}})
	first, _, _ := startMirrors(t, img)
	from, to := newGauge(t, first), newDoor(t, startRegistry(t))
	h := newHome(t)
	h.ownCache()
	args := []string{"-m", from.url, "--to", to.host + "/team/app:1", name}
	killed := h.command(t, append([]string{"--limit-rate", "8M"}, args...)...)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	var before []string
	for deadline := time.Now().Add(programTimeout); count(before, "blob") < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		before = append(before, to.take()...)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	from.settle(t)
	before = append(before, to.take()...)
	if count(before, "manifest") > 0 {
		t.Fatal("it was killed too late")
	}
	served := from.served.Load()
	h.pull(t, args...)
	again := count(to.take(), "blob")
	if sent := count(before, "blob"); sent+again != len(img.Layers)+1 {
		t.Errorf("%d blobs were sent before the kill, and %d after it", sent, again)
	}
	if total := from.served.Load(); served == 0 || total > totalSize(img)+8*mib {
		t.Errorf("%d bytes were served before the kill, and %d at the end", served, total)
	}
	h.checkPushed(t, to.registry+"/team/app:1", img.Manifest.Digest)
}

func TestPushWithALogin(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{3 * mib}})
	first, _, _ := startMirrors(t, img)
	locked := startLockedRegistry(t)
	h := newHome(t)
	h.ownCache()
	args := []string{"-m", first.url(), "--to", locked.host + "/team/app:1", name}
	if got := h.run(t, args...); got.code != 4 || !strings.Contains(got.stderr, "docker login "+locked.host) {
		t.Errorf("without a login it ended with code %d and said %q", got.code, got.stderr)
	}
	h.logIn(t, locked.host, user+":"+password+"s")
	if got := h.run(t, args...); got.code != 4 || strings.Contains(got.stderr, password) {
		t.Errorf("with a wrong password it ended with code %d and said %q", got.code, got.stderr)
	}
	h.logIn(t, locked.host, user+":"+password)
	h.pull(t, args...)
	h.pull(t, "-o", "app.tar", locked.host+"/team/app:1")
	h.checkArchive(t, "app.tar", img)
}
