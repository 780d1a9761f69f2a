package segpull_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
)

func TestACancelledPullGoesOnWithOthers(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib, 2*mib)
	m := pulltest.Serve(t, 3, img)
	for _, s := range m.Servers {
		s.Throttle(3 * mib)
	}
	out := filepath.Join(t.TempDir(), "app.tar")

	ctx, rec, cancelled := pulltest.CancelAt(3 * mib)
	_, err := m.PullContext(ctx, t, segpull.Options{Output: out, Mirrors: m.URLs[:2], Observer: rec})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
	if took := time.Since(cancelled()); took > 5*time.Second { // a second, and more on a busy machine
		t.Errorf("returned %v after it was cancelled", took)
	}
	pulltest.WantFiles(t, filepath.Dir(out), "app.tar.segpull")

	m.UntilIdle(t)
	before := m.Served()
	r := m.MustPull(t, segpull.Options{
		Output: out, Mirrors: m.URLs[1:], Connections: 2, Limits: segpull.NewLimits(20 * mib), SegmentSize: mib, NoRace: true,
	})
	again := m.Served() - before
	if r.Resumed < 3*mib {
		t.Errorf("resumed %d bytes of more than 3 MiB", r.Resumed)
	}
	if over := r.Resumed + again - pulltest.BlobsOf(img); over > pulltest.BlobsOf(img)/50 {
		t.Errorf("%d bytes were there and %d were fetched: %d too many", r.Resumed, again, over)
	}
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
	pulltest.WantFiles(t, filepath.Dir(out), "app.tar")
}

func TestNothingIsFetchedTwiceWhenAllIsThere(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 2, img)
	out := filepath.Join(t.TempDir(), "app.tar")
	// segpull cannot replace a directory with the name of the archive.
	blocked := filepath.Join(out, "in", "the", "way")
	ctx, cancel := context.WithCancel(t.Context())
	rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
		if _, ok := e.(segpull.Resolved); ok {
			if err := os.MkdirAll(blocked, 0o755); err != nil {
				t.Error(err)
			}
		}
	}}
	defer cancel()
	_, err := m.PullContext(ctx, t, segpull.Options{Output: out, Observer: rec})
	pulltest.WantError(t, err, nil, out, "cannot replace it", "remove it", "--output", "segpull keeps what it fetched")
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	m.UntilIdle(t)
	before := m.ServedBesides(img)
	r := m.MustPull(t, segpull.Options{Output: out})
	if n := m.ServedBesides(img) - before; n != 0 || r.Fetched != 0 || r.Resumed != pulltest.BlobsOf(img) {
		t.Errorf("%d bytes fetched again (result says %d, and %d resumed)", n, r.Fetched, r.Resumed)
	}
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
}

func TestTheFormatMayChangeOnTheWay(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Throttle(4 * mib)
	out := filepath.Join(t.TempDir(), "app.tar")
	ctx, rec, _ := pulltest.CancelAt(2 * mib)
	if _, err := m.PullContext(ctx, t, segpull.Options{Output: out, Observer: rec}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	m.Servers[0].Throttle(0)
	r := m.MustPull(t, segpull.Options{Output: out, Format: "legacy"})
	if r.Resumed < 2*mib {
		t.Errorf("resumed %d bytes of more than 2 MiB", r.Resumed)
	}
	pulltest.CheckLegacy(t, pulltest.Contents(t, out), img)
}

func TestTheSecondRunOnAnOutputLeaves(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 1, img)
	out := filepath.Join(t.TempDir(), "app.tar")
	var second error
	rec := &pulltest.Recorder{}
	rec.Hook = func(e segpull.Event) {
		if _, ok := e.(segpull.Resolved); ok {
			_, second = m.Pull(t, segpull.Options{Output: out})
		}
	}
	m.MustPull(t, segpull.Options{Output: out, Observer: rec})
	pulltest.WantError(t, second, nil, "app.tar.segpull", "another segpull uses")
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
}

func TestATagIsResolvedOnce(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 3, img)
	m.MustPull(t, segpull.Options{})
	var byTag, manifests int
	for _, s := range m.Servers {
		for _, r := range s.Stats().Log {
			switch {
			case r.Method == http.MethodHead: // whether it disagrees
			case strings.HasSuffix(r.Path, "/manifests/1"):
				byTag++
			case strings.Contains(r.Path, "/manifests/"):
				manifests++
			}
		}
	}
	if byTag != 1 || manifests != 0 {
		t.Errorf("%d requests by tag and %d more for manifests", byTag, manifests)
	}
}
