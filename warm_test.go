package segpull_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/sources"
)

// A server has every blob when Pull returns, also if its answers broke off before.
func TestPullWaitsUntilTheServerHasTheImage(t *testing.T) {
	img := pulltest.ImageOf(1, 3<<20, 300<<10)
	m := pulltest.Serve(t, 2, img)
	for _, s := range m.Servers {
		s.Throttle(2 << 20)
	}
	dir := t.TempDir()
	server, err := segpull.NewServer(segpull.ServerOptions{Mirrors: m.URLs, CacheDir: dir})
	pulltest.Must(t, err)
	var breaks atomic.Int32
	breaks.Store(2)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" && r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("a request has no token")
		}
		if r.Header.Get("Range") != "" && breaks.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { front.Close(); server.Close() })
	results, err := segpull.Pull(t.Context(), segpull.Options{
		Server: "front",
		Config: sources.Config{Mirror: map[string]sources.Mirror{
			"front": {URL: front.URL, Headers: map[string]string{"Authorization": "Bearer token"}},
		}},
	}, pulltest.Ref)
	pulltest.Must(t, err)
	if len(results) != 1 || len(results[0].Delivered) != 1 || results[0].Delivered[0].To != "front" || results[0].Fetched != 0 {
		t.Errorf("%+v", results)
	}
	// The digests are right; the last blob may still be on its way into the cache.
	for metrics := (strings.Builder{}); !strings.Contains(metrics.String(), "segpull_downloads 0\n") && t.Context().Err() == nil; {
		metrics.Reset()
		pulltest.Must(t, server.WriteMetrics(t.Context(), &metrics))
	}
	listing, err := cache.New(dir, 0).List(t.Context())
	pulltest.Must(t, err)
	if len(listing.Images) != 1 || !listing.Images[0].Complete || listing.Unfinished != 0 {
		t.Errorf("the server has %+v", listing)
	}
}

func TestPlacesThatExcludeEachOther(t *testing.T) {
	for about, opts := range map[string]segpull.Options{
		"an output":         {CacheOnly: true, CacheDir: "cache", Output: "app.tar"},
		"an engine":         {Server: "http://127.0.0.1:1", Load: "docker"},
		"no cache":          {CacheOnly: true},
		"a cache":           {Server: "http://127.0.0.1:1", CacheDir: "cache"},
		"mirrors":           {Server: "http://127.0.0.1:1", Mirrors: []string{"docker.io"}},
		"both":              {Server: "http://127.0.0.1:1", CacheOnly: true},
		"an unknown server": {Server: "nowhere"},
	} {
		if _, err := segpull.Pull(t.Context(), opts, "app:1"); !errors.Is(err, segpull.ErrUsage) {
			t.Errorf("%s: %v", about, err)
		}
	}
}
