package realtest

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// engine keeps images, and pulls them through a server.
type engine interface {
	pull(t *testing.T) error
	check(t *testing.T, img registrytest.Image) // that it has the image
}

// inChunks is part of the names of engines that ask for ranges of blobs.
const inChunks = "in chunks"

// engines start an engine that pulls through the server at address, by what --print-config
// says. The user who runs segpull is h.
var engines = map[string]func(t *testing.T, h home, address string) engine{
	"docker": func(t *testing.T, h home, address string) engine {
		return mirroredDocker{startDocker(t, dockerConfig(t, h, address))}
	},
	"docker 29":               func(t *testing.T, h home, address string) engine { return newDocker29(t, h, address) },
	"docker 29 by hosts.toml": func(t *testing.T, h home, address string) engine { return newDocker29ByHosts(t, h, address) },
	"containerd by ctr": func(t *testing.T, h home, address string) engine {
		return newCtr(t, "ctr", startContainerd(t, "containerd").mirror(t, h, address))
	},
	"containerd by CRI": func(t *testing.T, h home, address string) engine {
		return newCRI(t, startContainerd(t, "containerd").mirror(t, h, address))
	},
	"containerd 2 by ctr": func(t *testing.T, h home, address string) engine {
		return newCtr(t, "ctr2", startContainerd(t, "containerd2").mirror(t, h, address))
	},
	"containerd 2 by CRI": func(t *testing.T, h home, address string) engine {
		return newCRI(t, startContainerd(t, "containerd2").mirror(t, h, address))
	},
	"containerd 2 by ctr " + inChunks: func(t *testing.T, h home, address string) engine {
		return newCtr(t, "ctr2", startContainerd(t, "containerd2", chunks).mirror(t, h, address))
	},
	"containerd 2 by CRI " + inChunks: func(t *testing.T, h home, address string) engine {
		return newCRI(t, startContainerd(t, "containerd2", chunks).mirror(t, h, address))
	},
	"podman": func(t *testing.T, h home, address string) engine {
		return mirroredPodman{newPodman(t), write(t, t.TempDir(), "registries.conf", h.clientConfig(t, "podman", address))}
	},
}

// Each client pulls an image through the server, and the mirrors send it once.
func TestEnginesPullThroughTheServer(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{24 * mib, 7 * mib, 2 * mib}})
	first, second, _ := startMirrors(t, img)
	a, b := newGauge(t, first), newGauge(t, second)
	metrics := freeAddress(t)
	s := newServer(t, newHome(t), []string{a.url, b.url}, "--metrics", metrics)
	for about, start := range engines {
		t.Run(about, func(t *testing.T) {
			e := start(t, s.home, s.address)
			if err := e.pull(t); err != nil {
				t.Fatal(err)
			}
			e.check(t, img)
			if strings.Contains(about, inChunks) && !strings.Contains(get(t, "http://"+metrics+"/metrics"), `code="206"`) {
				t.Error("it has not asked for ranges")
			}
		})
	}
	for tool, pull := range map[string]func(*testing.T, *server, registrytest.Image){
		"skopeo": skopeoCopies, "crane": cranePulls, "regctl": regctlCopies,
	} {
		t.Run(tool, func(t *testing.T) { pull(t, s, img) })
	}
	if served, need := a.served.Load()+b.served.Load(), totalSize(img); float64(served) > 1.03*float64(need) {
		t.Errorf("the mirrors sent %d bytes of %d", served, need)
	}
}

// startBadMirrors starts three slow mirrors: one of them cuts answers, and one sends wrong
// bytes in the middle of layers.
func startBadMirrors(t *testing.T, img registrytest.Image) *pulltest.Mirrors {
	index := newIndex(img)
	mirrors := pulltest.Serve(t, 3, index)
	mirrors.Servers[0].Push("library/ubuntu", "22.04", index)
	for _, s := range mirrors.Servers {
		s.Throttle(3 * mib)
	}
	mirrors.Servers[1].Misbehave(registrytest.CutAfter(mib).Every(2))
	mirrors.Servers[2].Misbehave(registrytest.Flip(mib, 3*mib))
	return mirrors
}

var badImage = registrytest.ImageOptions{Layers: []int64{4 * mib, 3 * mib, 3 * mib}}

// Mirrors are bad, and the server is killed in the middle: a pull that this ends is right
// when it is repeated, and no engine gets a wrong byte.
func TestEnginesPullVerifiedBlobs(t *testing.T) {
	for about, start := range engines {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			img := newImage(t, badImage)
			mirrors := startBadMirrors(t, img)
			s := newServer(t, newHome(t), mirrors.URLs, "--verified-only")
			e := start(t, s.home, s.address)
			pulled := make(chan error, 1)
			go func() { pulled <- e.pull(t) }()
			for mirrors.Served() < totalSize(img)/3 && len(pulled) == 0 {
				time.Sleep(time.Millisecond)
			}
			s.kill()
			s.start(t)
			if err := <-pulled; err != nil {
				if err := e.pull(t); err != nil {
					t.Fatal(err)
				}
			}
			e.check(t, img)
			if served, size := mirrors.Served(), totalSize(img); served > 2*size {
				t.Errorf("the mirrors sent %d bytes of %d", served, size)
			}
			s.kill()
			if log := s.log.String(); strings.Contains(log, "cut off") {
				t.Errorf("the server cut off its client:\n%s", log)
			}
		})
	}
}

// An engine that gets wrong bytes does not take them for an image, and pulls the right
// ones later: containerd first has to remove what it has.
func TestEnginesRecoverFromWrongBytes(t *testing.T) {
	for about, start := range engines {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			img := newImage(t, badImage)
			s := newServer(t, newHome(t), startBadMirrors(t, img).URLs)
			e := start(t, s.home, s.address)
			began, pulls := time.Now(), 1
			for err := e.pull(t); err != nil; err = e.pull(t) {
				if time.Since(began) > programTimeout {
					t.Fatal(err)
				}
				pulls++
				time.Sleep(100 * time.Millisecond)
			}
			t.Logf("%d pulls, %v", pulls, time.Since(began))
			e.check(t, img)
		})
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func skopeoCopies(t *testing.T, s *server, img registrytest.Image) {
	needs.Programs(t, "skopeo")
	config := write(t, t.TempDir(), "registries.conf", s.home.clientConfig(t, "podman", s.address))
	dir := filepath.Join(t.TempDir(), "copy")
	run(t, "skopeo", "--registries-conf", config, "copy", "--quiet", "docker://docker.io/library/"+name, "dir:"+dir)
	for _, b := range img.Layers {
		if got := sumFile(t, filepath.Join(dir, b.Digest.Encoded())); got != string(b.Digest) {
			t.Errorf("skopeo has %s in the place of %s", got, b.Digest)
		}
	}
}

func cranePulls(t *testing.T, s *server, _ registrytest.Image) {
	needs.Programs(t, "crane")
	run(t, "crane", "validate", "--insecure", "--remote", s.address+"/docker.io/library/"+name)
}

func regctlCopies(t *testing.T, s *server, _ registrytest.Image) {
	needs.Programs(t, "regctl")
	t.Setenv("REGCTL_CONFIG", filepath.Join(t.TempDir(), "config.json"))
	run(t, "regctl", "registry", "set", "--tls", "disabled", s.address)
	run(t, "regctl", "image", "copy", s.address+"/library/"+name, "ocidir://"+filepath.Join(t.TempDir(), "layout")+":1")
}
