package realtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// TestAPullThroughCache pulls from a registry that fetches what it lacks, and
// until then answers ranges with whole blobs.
func TestAPullThroughCache(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{24 * mib, 5 * mib}})
	origin := startRegistry(t)
	origin.push(t, "library/ubuntu", "22.04", newIndex(img))
	fromOrigin := newGauge(t, origin)
	cache := newGauge(t, startRegistry(t, "REGISTRY_PROXY_REMOTEURL="+fromOrigin.url))

	h := newHome(t)
	for _, state := range []string{"cold", "warm"} {
		before := cache.served.Load()
		h.pull(t, "-m", cache.url, "-o", state+".tar", name)
		h.checkArchive(t, state+".tar", img)
		served := cache.served.Load() - before
		t.Logf("%s: the image has %d bytes, the cache served %d, the origin %d", state, totalSize(img), served, fromOrigin.served.Load())
		if served > totalSize(img)*3/2 {
			t.Errorf("a %s cache served %d bytes of an image of %d", state, served, totalSize(img))
		}
	}
}

// TestAMirrorDies cuts one of two registries off in the middle of a pull.
func TestAMirrorDies(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{12 * mib}})
	first, second, _ := startMirrors(t, img)
	mortal := newGauge(t, first)
	h := newHome(t)
	go func() {
		for mortal.served.Load() < mib && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		mortal.die()
	}()
	h.pull(t, "-m", mortal.url, "-m", second.url(), "--limit-rate", "8M", "-o", "ubuntu.tar", name)
	h.checkArchive(t, "ubuntu.tar", img)
}

func TestACertificateOfOnesOwn(t *testing.T) {
	r, certificate := startTLSRegistry(t)
	img := newImage(t, registrytest.ImageOptions{})
	r.push(t, "library/ubuntu", "22.04", img)
	h := newHome(t)

	if got := h.run(t, "-m", r.url(), "-o", "ubuntu.tar", name); got.code == 0 || !strings.Contains(got.stderr, "certificate") {
		t.Errorf("without the certificate it ended with code %d and said %q", got.code, got.stderr)
	}
	config := write(t, h.settings, "config.toml",
		"[mirror.sea]",
		fmt.Sprintf("url = %q", r.url()),
		fmt.Sprintf("ca = %q", certificate))
	h.pull(t, "--config", config, "-m", "sea", "-o", "ubuntu.tar", name)
	h.checkArchive(t, "ubuntu.tar", img)
}
