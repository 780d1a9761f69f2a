package segpull_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/segment"
)

// serveMany starts n mirrors which all have the same eight images, and returns them and the names.
func serveMany(t *testing.T, n int) (m *pulltest.Mirrors, refs []string) {
	m = pulltest.Serve(t, n, pulltest.ImageOf(1, 10*kib))
	for i := range 8 {
		m.Servers[0].Push(fmt.Sprintf("team/app%d", i), "1", pulltest.ImageOf(uint64(i), 300*kib))
		refs = append(refs, fmt.Sprintf("registry.example/team/app%d:1", i))
	}
	return m, refs
}

// atOnce returns how many of the requests for manifests waited for an answer at the same time at the most.
func atOnce(s *registrytest.Server) (most int) {
	log := slices.DeleteFunc(s.Stats().Log, func(r registrytest.Request) bool { return r.Kind != registrytest.KindManifest })
	for _, r := range log {
		open := 0
		for _, o := range log {
			if !o.Arrived.After(r.Arrived) && o.FirstByte.After(r.Arrived) {
				open++
			}
		}
		most = max(most, open)
	}
	return most
}

func TestSeveralImagesAreResolvedAtTheSameTime(t *testing.T) {
	t.Parallel()
	m, refs := serveMany(t, 1)
	m.Servers[0].Misbehave(registrytest.Latency(time.Second).On(registrytest.KindManifest))
	results, err := m.Pull(t, segpull.Options{Output: t.TempDir() + "/"}, refs...)
	pulltest.Must(t, err)
	for i, r := range results {
		if r.Reference != refs[i] {
			t.Errorf("result %d is %s", i, r.Reference)
		}
	}
	if n := atOnce(m.Servers[0]); len(results) != len(refs) || n != 4 {
		t.Errorf("%d results, %d requests at the same time", len(results), n)
	}
}

// A mirror that allows two connections, as some do, resolves as many images as before.
func TestSeveralImagesFromAMirrorThatAllowsTwoConnections(t *testing.T) {
	t.Parallel()
	m, refs := serveMany(t, 1)
	m.Servers[0].Misbehave(registrytest.All(registrytest.MaxConcurrent(2), registrytest.Latency(50*time.Millisecond)))
	results, err := m.Pull(t, segpull.Options{Output: t.TempDir() + "/"}, refs...)
	if err != nil || len(results) != len(refs) {
		t.Errorf("%d results, %v", len(results), err)
	}
}

// The first error in the order of the references ends the call, whichever comes first.
func TestTheErrorOfTheFirstOfSeveralImages(t *testing.T) {
	t.Parallel()
	m, refs := serveMany(t, 1)
	m.Servers[0].Misbehave(registrytest.Latency(200 * time.Millisecond).On(registrytest.KindManifest).When(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/none/") }))
	_, err := m.Pull(t, segpull.Options{Output: t.TempDir() + "/"}, refs[0], "registry.example/team/none:1", "registry.example/team/other:1", refs[1])
	pulltest.WantError(t, err, segpull.ErrNotFound, "team/none:1")
}

// A source that is rejected for one platform of an image is not asked for the other, and no
// other source is rejected with it.
func TestOneImageForTwoPlatforms(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 10*kib)
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64"})
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Push("team/index", "1", registrytest.NewIndex(img, arm))
	m.Servers[0].Misbehave(registrytest.All(registrytest.Latency(100*time.Millisecond), registrytest.TagAnswers(`{"errors":[]}`, "application/json")))
	const index = "registry.example/team/index:1"
	results, err := m.Pull(t, segpull.Options{Output: t.TempDir() + "/", Platforms: []string{"linux/amd64", "linux/arm64"}}, index, index)
	if err != nil || len(results) != 2 || results[0].Platform != "linux/amd64" || results[1].Platform != "linux/arm64" {
		t.Errorf("%+v, %v", results, err)
	}
}

// A mirror that is down costs 5 s once, not in each pull, and holds no layer.
func TestASilentMirrorIsRemembered(t *testing.T) {
	t.Parallel()
	m, refs := serveMany(t, 2)
	m.Servers[0].Misbehave(registrytest.Hang().On())
	opts := segpull.Options{History: filepath.Join(t.TempDir(), "mirrors.json")}
	for _, most := range []time.Duration{8 * time.Second, 3 * time.Second} { // 5 s and 0.8 s, and time for a busy machine
		began := time.Now()
		opts.Output = t.TempDir() + "/"
		_, err := m.Pull(t, opts, refs[:2]...)
		if took := time.Since(began); err != nil || took > most {
			t.Errorf("pulled in %v, at the most %v: %v", took, most, err)
		}
	}
}

// By digest it costs its head start, and holds no layer either.
func TestASilentMirrorOfAnImageNamedByDigest(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Misbehave(registrytest.Hang().On())
	began := time.Now()
	_, err := m.Pull(t, segpull.Options{Output: t.TempDir() + "/"}, "registry.example/"+pulltest.Repo+"@"+img.Manifest.Digest.String())
	if took := time.Since(began); err != nil || took > 3*time.Second {
		t.Errorf("pulled in %v: %v", took, err)
	}
}

func TestOneWarningOfAMirrorThatServesNothing(t *testing.T) {
	t.Parallel()
	m, refs := serveMany(t, 2)
	m.Servers[0].Misbehave(registrytest.Status(403).On(registrytest.KindBlob))
	m.Servers[1].Throttle(2 << 20)
	rec := &pulltest.Recorder{}
	_, err := m.Pull(t, segpull.Options{Output: t.TempDir() + "/", Observer: rec}, refs[0], refs[1], refs[2])
	pulltest.Must(t, err)
	if n := strings.Count(rec.Warnings(), m.Name(0)+" served nothing"); n != 1 {
		t.Errorf("%d warnings: %s", n, rec.Warnings())
	}
}

// The connections that are opened while the image is resolved are those that its blobs come by.
func TestBlobsComeByTheConnectionsThatWereOpenedBefore(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 300*kib, 200*kib, 100*kib))
	m.Servers[0].Misbehave(registrytest.Latency(300 * time.Millisecond).On(registrytest.KindManifest))
	var opened atomic.Int64
	front := httptest.NewUnstartedServer(m.Servers[0])
	front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	front.Start()
	t.Cleanup(front.Close)
	_, err := m.Pull(t, segpull.Options{Mirrors: []string{front.URL}}, pulltest.Ref)
	if n := opened.Load(); err != nil || n > segment.FirstConnections+1 { // which the manifest may come by
		t.Errorf("%d connections, %v", n, err)
	}
}
