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
)

// cancelAt cancels once so many bytes are on disk, and notes when.
func cancelAt(done int64) (ctx context.Context, rec *recorder, at func() time.Time) {
	ctx, cancel := context.WithCancel(context.Background())
	var cancelled time.Time
	rec = &recorder{hook: func(e segpull.Event) {
		if p, ok := e.(segpull.Progress); ok && p.Done >= done && cancelled.IsZero() {
			cancelled = time.Now()
			cancel()
		}
	}}
	return ctx, rec, func() time.Time { return cancelled }
}

func TestACancelledPullGoesOnWithOthers(t *testing.T) {
	t.Parallel()
	img := imageOf(1, 6*mib, 2*mib)
	m := serve(t, 3, img)
	for _, s := range m.servers {
		s.Throttle(3 * mib)
	}
	out := filepath.Join(t.TempDir(), "app.tar")

	ctx, rec, cancelled := cancelAt(3 * mib)
	_, err := m.pullContext(ctx, t, segpull.Options{Output: out, Mirrors: m.urls[:2], Observer: rec})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
	if took := time.Since(cancelled()); took > 3*time.Second/2 { // a second, and a busy machine
		t.Errorf("returned %v after it was cancelled", took)
	}
	wantFiles(t, filepath.Dir(out), "app.tar.segpull")

	before := m.served()
	r := m.mustPull(t, segpull.Options{
		Output: out, Mirrors: m.urls[1:], Connections: 2, LimitRate: 20 * mib, SegmentSize: mib,
	})
	again := m.served() - before
	if r.Resumed < 3*mib {
		t.Errorf("resumed %d bytes of more than 3 MiB", r.Resumed)
	}
	if over := r.Resumed + again - blobsOf(img); over > blobsOf(img)/50 {
		t.Errorf("%d bytes were there and %d were fetched: %d too many", r.Resumed, again, over)
	}
	checkDocker(t, contents(t, out), img)
	wantFiles(t, filepath.Dir(out), "app.tar")
}

func TestNothingIsFetchedTwiceWhenAllIsThere(t *testing.T) {
	t.Parallel()
	img := imageOf(1, 2*mib)
	m := serve(t, 2, img)
	out := filepath.Join(t.TempDir(), "app.tar")
	// Standing where the archive shall be, a folder that can't be replaced.
	blocked := filepath.Join(out, "in", "the", "way")
	ctx, cancel := context.WithCancel(t.Context())
	rec := &recorder{hook: func(e segpull.Event) {
		if _, ok := e.(segpull.Resolved); ok {
			if err := os.MkdirAll(blocked, 0o755); err != nil {
				t.Error(err)
			}
		}
	}}
	defer cancel()
	_, err := m.pullContext(ctx, t, segpull.Options{Output: out, Observer: rec})
	wantCode(t, err, 1, out, "can't be replaced", "remove it", "--output", "nothing that was fetched is lost")
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	before := m.servedBesides(img)
	r := m.mustPull(t, segpull.Options{Output: out})
	if n := m.servedBesides(img) - before; n != 0 || r.Fetched != 0 || r.Resumed != blobsOf(img) {
		t.Errorf("%d bytes fetched again (result says %d, and %d resumed)", n, r.Fetched, r.Resumed)
	}
	checkDocker(t, contents(t, out), img)
}

func TestTheFormatMayChangeOnTheWay(t *testing.T) {
	t.Parallel()
	img := imageOf(1, 4*mib)
	m := serve(t, 1, img)
	m.servers[0].Throttle(4 * mib)
	out := filepath.Join(t.TempDir(), "app.tar")
	ctx, rec, _ := cancelAt(2 * mib)
	if _, err := m.pullContext(ctx, t, segpull.Options{Output: out, Observer: rec}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	m.servers[0].Throttle(0)
	r := m.mustPull(t, segpull.Options{Output: out, Format: "legacy"})
	if r.Resumed < 2*mib {
		t.Errorf("resumed %d bytes of more than 2 MiB", r.Resumed)
	}
	checkLegacy(t, contents(t, out), img)
}

func TestTheSecondRunOnAnOutputLeaves(t *testing.T) {
	t.Parallel()
	img := imageOf(1, 2*mib)
	m := serve(t, 1, img)
	out := filepath.Join(t.TempDir(), "app.tar")
	var second error
	rec := &recorder{}
	rec.hook = func(e segpull.Event) {
		if _, ok := e.(segpull.Resolved); ok {
			_, second = m.pull(t, segpull.Options{Output: out})
		}
	}
	m.mustPull(t, segpull.Options{Output: out, Observer: rec})
	wantCode(t, second, 1, "app.tar.segpull", "in use by another segpull")
	checkDocker(t, contents(t, out), img)
}

func TestATagIsResolvedOnce(t *testing.T) {
	t.Parallel()
	img := imageOf(1, 2*mib)
	m := serve(t, 3, img)
	m.mustPull(t, segpull.Options{})
	var byTag, manifests int
	for _, s := range m.servers {
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
