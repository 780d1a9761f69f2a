package realtest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/segpull/segpull/internal/registrytest"
)

const (
	name = "ubuntu:22.04"

	mib = 1 << 20
)

// startMirrors runs two registries that have the image, in an index, as
// library/ubuntu:22.04.
func startMirrors(t *testing.T, img registrytest.Image) (first, second registry, index registrytest.Image) {
	t.Helper()
	index = newIndex(img)
	first, second = startRegistry(t), startRegistry(t)
	first.push(t, "library/ubuntu", "22.04", index)
	second.push(t, "library/ubuntu", "22.04", index)
	return first, second, index
}

func TestDockerRunsWhatWasPulledFromTwoRegistries(t *testing.T) {
	docker := startDocker(t)
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{30 * mib, 12 * mib, 3 * mib}})
	first, second, index := startMirrors(t, img)
	a, b := newGauge(t, first), newGauge(t, second)
	h := newHome(t)

	r := h.pull(t, "-m", a.url, "-m", b.url, "-o", "ubuntu.tar", name)
	if want := fmt.Sprintf("%s ubuntu.tar\n", index.Manifest.Digest); r.stdout != want {
		t.Errorf("standard output has %q, want %q", r.stdout, want)
	}
	if a.served.Load() == 0 || b.served.Load() == 0 {
		t.Errorf("the mirrors served %d and %d bytes", a.served.Load(), b.served.Load())
	}
	h.checkClean(t, "ubuntu.tar")
	if said := docker.run(t, "load", "--input", h.path("ubuntu.tar")); said != "Loaded image: "+name+"\n" {
		t.Errorf("docker load said %q", said)
	}
	docker.check(t, name, img)
}

func TestTenKillsCostOneMiBPerConnectionEach(t *testing.T) {
	docker := startDocker(t)
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{60 * mib, 24 * mib, 12 * mib}})
	first, second, _ := startMirrors(t, img)
	a, b := newGauge(t, first), newGauge(t, second)
	h := newHome(t)

	// The mirrors are slow rather than segpull by --limit-rate: what it leaves
	// unread for a while would fill the kernel's buffers, and count as served.
	a.limit.SetLimit(16 * mib)
	b.limit.SetLimit(12 * mib)
	allowed := totalSize(img)
	for i := range 10 {
		args := slices.Concat(
			[][]string{{"-m", a.url, "-m", b.url}, {"-m", b.url}, {"-m", a.url}}[i%3],
			[]string{"--connections", strconv.Itoa(1 + i%2), "--limit-rate", strconv.Itoa(50+i) + "M"},
			[]string{"-o", "ubuntu.tar", name},
		)
		allowed += h.kill(t, 50*time.Millisecond+rand.N(400*time.Millisecond), a, b, args) * mib
	}
	before := a.served.Load() + b.served.Load()
	a.limit.SetLimit(rate.Inf)
	b.limit.SetLimit(rate.Inf)
	h.pull(t, "-m", a.url, "-m", b.url, "-o", "ubuntu.tar", name)

	served := a.served.Load() + b.served.Load()
	t.Logf("the image has %d bytes, and %d were served: %d until the last kill, at most %d were allowed",
		totalSize(img), served, before, allowed)
	if served > allowed {
		t.Errorf("%d bytes were served, %d more than allowed", served, served-allowed)
	}
	if before == 0 || before > totalSize(img) {
		t.Errorf("the kills came at no good moments: %d bytes were served until the last", before)
	}
	h.checkClean(t, "ubuntu.tar")
	h.pull(t, "-m", first.url(), "-o", "undisturbed.tar", name)
	if fileDigest(t, h.path("ubuntu.tar")) != fileDigest(t, h.path("undisturbed.tar")) {
		t.Error("the archive has other bytes than one of an undisturbed pull")
	}
	docker.run(t, "load", "--input", h.path("ubuntu.tar"))
	docker.check(t, name, img)
}

// kill starts segpull, kills it after a while, and returns how many responses
// were open then.
func (h home) kill(t *testing.T, after time.Duration, a, b *gauge, args []string) (open int64) {
	t.Helper()
	cmd := h.command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	open = a.open.Load() + b.open.Load()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	open = max(open, a.open.Load()+b.open.Load())
	if cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatal("segpull ended before it was killed")
	}
	if _, err := os.Stat(h.path("ubuntu.tar")); err == nil {
		t.Fatal("there is an archive before the pull is done")
	}
	a.settle(t)
	b.settle(t)
	return open
}

func TestTheSecondOnAnOutputLeaves(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{8 * mib}})
	first, second, _ := startMirrors(t, img)
	h := newHome(t)
	args := []string{"-m", first.url(), "-m", second.url(), "-o", "ubuntu.tar", name}

	slow := h.command(t, append([]string{"--limit-rate", "3M"}, args...)...)
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < programTimeout; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(h.path("ubuntu.tar.segpull")); err == nil {
			break
		}
	}
	r := h.run(t, args...)
	if r.code != 1 || !strings.Contains(r.stderr, "ubuntu.tar") {
		t.Errorf("the second ended with code %d and said %q", r.code, r.stderr)
	}
	if err := slow.Wait(); err != nil {
		t.Errorf("the first was harmed: %v", err)
	}
	h.checkClean(t, "ubuntu.tar")
	run(t, "tar", "-tf", h.path("ubuntu.tar"))
}

func TestTheSameImageGivesTheSameBytes(t *testing.T) {
	first, second, _ := startMirrors(t, newImage(t, registrytest.ImageOptions{Layers: []int64{5 * mib, 2 * mib}}))
	h := newHome(t)
	for _, format := range []string{"docker-archive", "oci-archive", "legacy"} {
		h.pull(t, "-f", format, "-m", first.url(), "-m", second.url(), "-o", "a.tar", name)
		h.pull(t, "-f", format, "-m", second.url(), "--connections", "1", "--segment-size", "256K", "-o", "b.tar", name)
		if fileDigest(t, h.path("a.tar")) != fileDigest(t, h.path("b.tar")) {
			t.Errorf("%s: two pulls of one image have other bytes", format)
		}
	}
}

// checkClean checks that a pull leaves nothing but its output.
func (h home) checkClean(t *testing.T, output string) {
	t.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != output {
		t.Errorf("the directory has %v, want %s alone", entries, output)
	}
}

func totalSize(img registrytest.Image) int64 {
	size := img.Config.Size
	for _, layer := range img.Layers {
		size += layer.Size
	}
	return size
}

func fileDigest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
