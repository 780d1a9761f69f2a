package realtest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// hosts are servers that have no image, and record what they are asked for.
type hosts struct {
	mu    sync.Mutex
	asked []string // "HOST PATH?QUERY X-Team" of manifests, each once
}

// start starts a server, and returns host:port.
func (h *hosts) start(t *testing.T, name string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			h.mu.Lock()
			defer h.mu.Unlock()
			if line := strings.TrimSpace(name + " " + r.URL.RequestURI() + " " + r.Header.Get("X-Team")); !slices.Contains(h.asked, line) {
				h.asked = append(h.asked, line)
			}
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// take returns what was asked since the last call.
func (h *hosts) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

// noDigest is a digest that no image has.
const noDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// segpull asks the hosts of a hosts.toml for what containerd asks them, in the same order.
func TestSegpullAsksAsContainerd(t *testing.T) {
	needs.Programs(t, "ctr")
	c := startContainerd(t, "containerd")
	var h hosts
	dir := filepath.Join(c.hosts, "registry.invalid")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "hosts.toml",
		fmt.Sprintf("server = %q", "http://"+h.start(t, "server")),
		fmt.Sprintf("[host.%q]\ncapabilities = ['pull']", "http://"+h.start(t, "pull")),
		fmt.Sprintf("[host.%q]", "http://"+h.start(t, "path")+"/us"),
		fmt.Sprintf("[host.%q]\noverride_path = true\ncapabilities = ['pull', 'resolve']", "http://"+h.start(t, "override")+"/v2/hub"),
		fmt.Sprintf("[host.%q.header]\nX-Team = 'build'", "http://"+h.start(t, "header")))
	for _, ref := range []string{"registry.invalid/library/app:1", "registry.invalid/library/app@" + noDigest} {
		if _, err := try(t, nil, "ctr", "--address", c.socket, "images", "pull", "--hosts-dir", c.hosts, ref); err == nil {
			t.Fatal("containerd has pulled an image that nobody has")
		}
		theirs := h.take()
		r := newHome(t).run(t, "--mirrors-from", "containerd:"+c.hosts, "--give-up-after", "5s", ref)
		if ours := h.take(); r.code == 0 || len(theirs) < 4 || !slices.Equal(ours, theirs) {
			t.Errorf("%s\nsegpull asks    %q\ncontainerd asks %q\nand segpull said %s", ref, ours, theirs, r.stderr)
		}
	}
}

// segpull asks the mirrors of a registries.conf for what skopeo and podman ask them.
func TestSegpullAsksAsPodman(t *testing.T) {
	needs.Programs(t, "skopeo")
	p := newPodman(t)
	var h hosts
	config := write(t, t.TempDir(), "registries.conf",
		"[[registry]]", "prefix = 'registry.invalid/library'", fmt.Sprintf("location = '%s/x/y'", h.start(t, "location")), "insecure = true",
		"[[registry.mirror]]", fmt.Sprintf("location = '%s'", h.start(t, "host")), "insecure = true",
		"[[registry.mirror]]", fmt.Sprintf("location = '%s/hub'", h.start(t, "path")), "insecure = true",
		"[[registry]]", "prefix = 'registry.invalid'", fmt.Sprintf("location = '%s'", h.start(t, "shorter")), "insecure = true")
	t.Setenv("CONTAINERS_REGISTRIES_CONF", config)
	ref := "registry.invalid/library/team/app@" + noDigest
	_, _ = try(t, nil, "skopeo", "--registries-conf", config, "inspect", "--raw", "docker://"+ref)
	skopeo := h.take()
	_, _ = try(t, nil, "podman", p.args("pull", "--quiet", ref)...)
	podman := h.take()
	r := newHome(t).run(t, "--mirrors-from", "containers:"+config, "--give-up-after", "5s", ref)
	if ours := h.take(); r.code == 0 || len(skopeo) != 3 || !slices.Equal(ours, skopeo) || !slices.Equal(ours, podman) {
		t.Errorf("segpull asks %q\nskopeo asks  %q\npodman asks  %q\nand segpull said %s", ours, skopeo, podman, r.stderr)
	}
}

// mirrorsOf returns "FROM URL" of the sources that segpull mirrors lists.
func (h home) mirrorsOf(t *testing.T, args ...string) (list []string) {
	t.Helper()
	var out struct {
		Sources []struct{ From, URL string }
	}
	if err := json.Unmarshal([]byte(h.pull(t, append([]string{"mirrors", "--json"}, args...)...).stdout), &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range out.Sources {
		list = append(list, s.From+" "+s.URL)
	}
	return list
}

// A running engine says which mirrors are in force; its file counts if none answers.
func TestTheMirrorsOfARunningDocker(t *testing.T) {
	d := startDocker(t, "--registry-mirror=https://running.example", "--registry-mirror=https://insecure.example", "--insecure-registry=insecure.example", "--insecure-registry=10.0.0.0/8")
	h := newHome(t)
	if err := os.MkdirAll(filepath.Join(h.settings, ".docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(h.settings, ".docker"), "daemon.json", `{"registry-mirrors": ["https://file.example"]}`)
	origin := "registry https://registry-1.docker.io"
	for about, test := range map[string]struct {
		socket, from string
		want         []string
	}{
		"running":        {d.socket, "docker", []string{"docker https://running.example", "docker https://insecure.example", origin}},
		"not running":    {d.socket + ".none", "docker", []string{"docker https://file.example", origin}},
		"a file's alone": {d.socket, "docker:" + file, []string{"docker https://file.example", origin}},
	} {
		h := h
		h.env = append(slices.Clone(h.env), "DOCKER_HOST=unix://"+test.socket)
		if got := h.mirrorsOf(t, "--mirrors-from", test.from); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", about, got, test.want)
		}
	}
	h.env = append(h.env, "DOCKER_HOST=unix://"+d.socket)
	if r := h.pull(t, "mirrors", "--mirrors-from", "docker", "10.1.2.3:5000"); !strings.Contains(r.stderr, "does not check its certificate") {
		t.Errorf("an insecure registry: %s", r.stderr)
	}
}

// The test of mirrors waits for no mirror that does not answer.
func TestMirrorsThatDoNotAnswerAreTestedSoon(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{4 * mib}})
	first, _, _ := startMirrors(t, img)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	r := newHome(t).pull(t, "mirrors", "test", "-m", first.url(), "-m", "http://"+silent.Addr().String(), name)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{"\n  good\n", "\n  unreachable: no answer in time\n", "mirrors = [\"" + first.url() + "\"]"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
}

// Docker's daemon.json names the server of this machine. The server reads it too, and does
// not ask itself; a pull does ask the server.
func TestTheServerOfThisMachineIsAMirror(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{mib}})
	first, _, _ := startMirrors(t, img)
	s := &server{home: newHome(t), address: freeAddress(t)}
	file := write(t, s.home.settings, "daemon.json", fmt.Sprintf(`{"registry-mirrors": ["http://%s", %q]}`, s.address, first.url()))
	s.args = []string{"serve", "--listen", s.address, "--cache-dir", s.home.path("cache"), "--mirrors-from", "docker:" + file}
	s.start(t)
	r := s.home.pull(t, "--mirrors-from", "docker:"+file, name)
	if want := " by " + s.address + ": "; !strings.Contains(r.stderr, want) {
		t.Errorf("the server has not resolved the tag: %s", r.stderr)
	}
	s.kill()
	if log := s.log.String(); !strings.Contains(log, "source="+first.host) || strings.Contains(log, "came from this server") {
		t.Errorf("the server's log:\n%s", log)
	}
}
