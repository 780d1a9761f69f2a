package segpull_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// startTarget starts a registry to push to, and returns what Options.To needs for an image
// there. Images without an output lie in a directory of the test.
func startTarget(t *testing.T) (s *registrytest.Server, to string) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	return startRegistry(t)
}

// startRegistry starts a registry, and returns what --to calls an image in it.
func startRegistry(t *testing.T) (s *registrytest.Server, to string) {
	t.Helper()
	s = registrytest.New()
	return s, strings.TrimPrefix(s.Start(t), "http://") + "/team/app:1"
}

// uploads returns the digests of the blobs that a registry has got.
func uploads(s *registrytest.Server) (digests []string) {
	for _, r := range s.Stats().Log {
		if _, d, ok := strings.Cut(r.Query, "digest="); ok && r.Method == http.MethodPut && r.Status == http.StatusCreated {
			digests = append(digests, strings.Replace(d, "%3A", ":", 1))
		}
	}
	return digests
}

func pushOptions(m *pulltest.Mirrors, to string) segpull.Options {
	return segpull.Options{Mirrors: m.URLs, To: to, Platform: "linux/amd64"}
}

func TestALayerIsPushedWhileTheNextOneArrives(t *testing.T) {
	for _, cacheDir := range []string{"", t.TempDir()} {
		img := pulltest.ImageOf(1, 300*kib, 3*mib)
		m := pulltest.Serve(t, 1, img)
		target, to := startTarget(t)
		large := img.Layers[1].Digest
		m.Servers[0].Misbehave(registrytest.Wrap(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for len(uploads(target)) < 2 && r.Context().Err() == nil {
					time.Sleep(time.Millisecond)
				}
				next.ServeHTTP(w, r)
			})
		}).Of(large))
		opts := pushOptions(m, to)
		opts.CacheDir = cacheDir
		if _, err := segpull.Pull(t.Context(), opts, pulltest.Ref); err != nil {
			t.Fatal(err)
		}
		if got := uploads(target); len(got) != 3 || got[2] != string(large) {
			t.Errorf("these were pushed: %v", got)
		}
	}
}

func TestARefusedPushEndsThePull(t *testing.T) {
	img := pulltest.ImageOf(1, 300*kib, 3*mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Misbehave(registrytest.StallAfter(100 * kib).Of(img.Layers[1].Digest))
	target, to := startTarget(t)
	target.Misbehave(registrytest.Status(http.StatusForbidden).On(registrytest.KindUpload))
	_, err := segpull.Pull(t.Context(), pushOptions(m, to), pulltest.Ref)
	if !errors.Is(err, segpull.ErrCredentials) {
		t.Errorf("the error is %v", err)
	}
}

func TestAnInterruptedPushContinues(t *testing.T) {
	img := pulltest.ImageOf(1, 300*kib, 3*mib)
	m := pulltest.Serve(t, 1, img)
	target, to := startTarget(t)
	large := img.Layers[1].Digest
	target.Misbehave(registrytest.Status(http.StatusForbidden).On(registrytest.KindUpload).When(func(r *http.Request) bool {
		return strings.Contains(r.URL.RawQuery, large.Encoded())
	}))
	if _, err := segpull.Pull(t.Context(), pushOptions(m, to), pulltest.Ref); err == nil {
		t.Fatal("it was not interrupted")
	}
	target.Misbehave()
	m.UntilIdle(t)
	served := m.Served()
	if _, err := segpull.Pull(t.Context(), pushOptions(m, to), pulltest.Ref); err != nil {
		t.Fatal(err)
	}
	if again := m.Served() - served; again > img.Config.Size {
		t.Errorf("%d bytes were fetched again", again)
	}
	seen := make(map[string]int)
	for _, d := range uploads(target) {
		if seen[d]++; seen[d] > 1 {
			t.Errorf("%s was sent again", d)
		}
	}
	if seen[string(large)] != 1 {
		t.Errorf("these were pushed: %v", seen)
	}
}

// The limit is for all traffic together: each byte comes and goes.
func TestThePushKeepsTheLimit(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 1*mib)
	m := pulltest.Serve(t, 1, img)
	_, to := startRegistry(t)
	opts := pushOptions(m, to)
	opts.CacheDir, opts.Limits = t.TempDir(), segpull.NewLimits(mib)
	began := time.Now()
	if _, err := segpull.Pull(t.Context(), opts, pulltest.Ref); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 1900*time.Millisecond {
		t.Errorf("2 MiB took %v at 1 MiB/s", took)
	}
}

func TestLayersThatARegistryHasElsewhereAreMounted(t *testing.T) {
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Push("team/other", "1", img)
	target, to := startTarget(t)
	opts := pushOptions(m, strings.TrimSuffix(to, "team/app:1"))
	if _, err := segpull.Pull(t.Context(), opts, pulltest.Ref, "team/other:1"); err != nil {
		t.Fatal(err)
	}
	if got := uploads(target); len(got) != 2 {
		t.Errorf("%d blobs were sent, want each once: %v", len(got), got)
	}
}

// From one repository of a registry to another, nothing but the config travels.
func TestACopyWithinARegistryFetchesNoLayer(t *testing.T) {
	img := pulltest.ImageOf(1, 300*kib, mib)
	target, to := startTarget(t)
	target.Push("team/other", "1", img)
	from := strings.TrimSuffix(to, "team/app:1") + "team/other:1"
	if _, err := segpull.Pull(t.Context(), segpull.Options{To: to, Platform: "linux/amd64"}, from); err != nil {
		t.Fatal(err)
	}
	// An image without an index has its config read for its platform first.
	if stats := target.Stats(); stats.Bytes > 2*img.Config.Size || len(uploads(target)) > 0 {
		t.Errorf("%d bytes were fetched, and these were sent: %v", stats.Bytes, uploads(target))
	}
}
