package segpull

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/buckettest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/serve"
	"github.com/segpull/segpull/sources"
)

// serving starts a server with a cache of its own and a handler that edit changes, and
// returns a function that gets something of the repository library/app.
func serving(t *testing.T, opts ServerOptions, edit func(*serve.Options)) (get func(path string) *http.Response) {
	t.Helper()
	opts.CacheDir = t.TempDir()
	server, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	handler := serve.Options{Cache: server.cache, Bucket: server.bucket, Upstream: server.upstream, TagTTL: time.Hour}
	edit(&handler)
	server.handler = serve.New(handler)
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return func(path string) *http.Response {
		t.Helper()
		resp, err := http.Get(web.URL + "/v2/library/app/" + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		return resp
	}
}

// A download that no client waits for pauses after a while; the next client continues it.
func TestADownloadWithoutClientsPauses(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{6 * mib}})
	mirror := registrytest.New()
	mirror.Push("library/app", "1", img)
	mirror.Throttle(2 * mib)
	get := serving(t, ServerOptions{Mirrors: []string{mirror.Start(t)}, SegmentSize: 256 << 10, Connections: 1},
		func(o *serve.Options) { o.PauseAfter = 200 * time.Millisecond })
	layer := img.Layers[0]
	get("manifests/1").Body.Close()
	resp := get("blobs/" + layer.Digest.String())
	_, _ = io.ReadFull(resp.Body, make([]byte, 64<<10))
	resp.Body.Close()
	sent := func() int64 { return mirror.Stats().Blobs[layer.Digest] }
	paused := int64(-1)
	for n := sent(); n != paused; n = sent() {
		paused = n
		time.Sleep(500 * time.Millisecond)
	}
	if paused > layer.Size/2 {
		t.Errorf("the mirror has sent %d bytes", paused)
	}
	mirror.Throttle(0)
	resp = get("blobs/" + layer.Digest.String())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != string(layer.Bytes()) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if twice := sent() - layer.Size; twice > mib {
		t.Errorf("%d bytes came twice", twice)
	}
}

// Another server has claimed a blob, and does not put it: clients wait for a limited time.
func TestAClaimHoldsNoClientForLong(t *testing.T) {
	t.Parallel()
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{1 << 20}})
	mirror, s3 := registrytest.New(), buckettest.Start(t, 0)
	mirror.Push("library/app", "1", img)
	const wait = 2 * time.Second
	get := serving(t, ServerOptions{Mirrors: []string{mirror.Start(t)}, Config: sources.Config{Cache: s3.URL("team")}},
		func(o *serve.Options) { o.WaitForOther = wait })
	layer := img.Layers[0]

	renewing, stop := context.WithCancel(t.Context())
	var renewals sync.WaitGroup
	defer renewals.Wait()
	defer stop()
	claim := func() { s3.Put(t, "team/claims/"+layer.Digest.Encoded(), []byte("renewed")) }
	claim()
	renewals.Go(func() {
		for {
			select {
			case <-time.After(500 * time.Millisecond):
				claim()
			case <-renewing.Done():
				return
			}
		}
	})
	began := time.Now()
	get("manifests/1").Body.Close() // from now on, the server fetches the image
	resp := get("blobs/" + layer.Digest.String())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if took := time.Since(began); err != nil || string(body) != string(layer.Bytes()) || took < wait/2 || took > serve.DefaultWaitForOther/2 {
		t.Errorf("%d bytes after %v, %v", len(body), took, err)
	}
}
