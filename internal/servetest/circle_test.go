package servetest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// startRing starts servers of which mirrors[i] are the mirrors of server i: numbers of
// servers, and URLs.
func startRing(t *testing.T, mirrors ...[]any) []*fixture {
	t.Helper()
	var all []*fixture
	var handlers []*atomic.Pointer[segpull.Server]
	for range mirrors {
		handler := new(atomic.Pointer[segpull.Server])
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.Load().ServeHTTP(w, r) }))
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		all, handlers = append(all, &fixture{Mirrors: new(pulltest.Mirrors), url: s.URL}), append(handlers, handler)
	}
	for i, list := range mirrors {
		var urls []string
		for _, m := range list {
			if j, ok := m.(int); ok {
				m = all[j].url
			}
			urls = append(urls, m.(string))
		}
		server, err := segpull.NewServer(segpull.ServerOptions{Mirrors: urls, CacheDir: t.TempDir(), SegmentSize: 64 * kib})
		pulltest.Must(t, err)
		t.Cleanup(server.Close)
		handlers[i].Store(server)
	}
	return all
}

// A server that is its own mirror, or that of its mirror, serves all the same: a request
// that comes back is refused at once, and the other sources are asked.
func TestServersThatAskEachOther(t *testing.T) {
	img := pulltest.ImageOf(1, 600*kib, 300*kib)
	for about, mirrors := range map[string]func(url string) [][]any{
		"itself":             func(url string) [][]any { return [][]any{{0, url}} },
		"two":                func(url string) [][]any { return [][]any{{1, url}, {0, url}} },
		"three":              func(url string) [][]any { return [][]any{{1, url}, {2, url}, {0, url}} },
		"itself and another": func(url string) [][]any { return [][]any{{0, 1, url}, {1, 0, url}} },
	} {
		t.Run(about, func(t *testing.T) {
			m := pulltest.Serve(t, 1, img)
			servers := startRing(t, mirrors(m.URLs[0])...)
			var asking sync.WaitGroup
			for _, f := range servers { // all at the same time
				asking.Go(func() {
					manifest := f.get(t, path+"/manifests/1"+ns)
					if digest.FromBytes(manifest.body) != img.Manifest.Digest {
						t.Errorf("the manifest is %.200q", manifest.body)
					}
					for _, layer := range img.Layers {
						if got := f.get(t, blobPath(layer)); digest.FromBytes(got.body) != layer.Digest {
							t.Errorf("%d of %d bytes", len(got.body), layer.Size)
						}
					}
				})
			}
			asking.Wait()
		})
	}
}

// Only the last server of a ring has a source of its own.
func TestARingWithOneSource(t *testing.T) {
	img := pulltest.ImageOf(1, 600*kib, 300*kib)
	m := pulltest.Serve(t, 1, img)
	f := startRing(t, []any{1}, []any{2}, []any{0, m.URLs[0]})[0]
	f.get(t, path+"/manifests/1"+ns)
	for _, layer := range img.Layers {
		if got := f.get(t, blobPath(layer)); digest.FromBytes(got.body) != layer.Digest {
			t.Errorf("%d of %d bytes", len(got.body), layer.Size)
		}
	}
}

// Without any other source, the answer is that there is no such image, and not that nobody
// has answered in time.
func TestACircleWithoutASource(t *testing.T) {
	for about, mirrors := range map[string][][]any{"itself": {{0}}, "two": {{1}, {0}}, "three": {{1}, {2}, {0}}} {
		f := startRing(t, mirrors...)[0]
		for _, asked := range []string{path + "/manifests/1" + ns, blobPath(registrytest.NewImage(registrytest.ImageOptions{}).Layers[0])} {
			a := f.do(t, "GET", asked)
			if a.status != http.StatusNotFound || strings.Contains(string(a.body), "in time") {
				t.Errorf("%s: %d %s", about, a.status, a.body)
			}
		}
	}
}

// Proxies add to Via as well, and a server does not mind them.
func TestViaOfOthers(t *testing.T) {
	f := start(t, 1, pulltest.ImageOf(1, 10*kib), nil)
	f.get(t, path+"/manifests/1"+ns, "Via", "1.1 proxy.example (squid), 1.1 segpull-0123456789abcdef")
	via := f.Servers[0].Stats().Log[0].Header.Get("Via")
	if !strings.HasPrefix(via, "1.1 segpull-0123456789abcdef, 1.1 segpull-") {
		t.Errorf("the mirror got Via %q", via)
	}
	f.do(t, "GET", path+"/manifests/2"+ns, "Via", strings.Repeat("1.1 segpull-0123456789abcdef, ", 9)).wantError(t, "a long chain", http.StatusNotFound, "NAME_UNKNOWN")
}

// A download may wait for a server that joins it: that one is cut off when nothing comes, and
// asks its other sources.
func TestAServerDoesNotWaitForADownloadOfOthers(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	f := start(t, 1, img, nil)
	f.learn(t)
	f.Servers[0].Misbehave(registrytest.Hang())
	clients, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer leave()
	status := make(chan int, 1)
	waiting.Go(func() {
		req, err := http.NewRequestWithContext(clients, http.MethodGet, f.url+blobPath(img.Layers[0]), nil)
		pulltest.Must(t, err)
		resp, err := http.DefaultClient.Do(req)
		pulltest.Must(t, err)
		defer resp.Body.Close()
		status <- resp.StatusCode
		if _, err := resp.Body.Read(make([]byte, 1)); clients.Err() == nil {
			t.Errorf("a client does not wait: %v", err)
		}
	})
	if got := <-status; got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	if a := f.do(t, "GET", blobPath(img.Layers[0]), "Via", "1.1 segpull-0123456789abcdef"); a.err == nil {
		t.Errorf("a server got %d and %d bytes", a.status, len(a.body))
	}
}
