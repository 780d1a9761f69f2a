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

// A download that no client waits for pauses after a while; the next client continues it.
func TestADownloadWithoutClientsPauses(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{6 * mib}})
	mirror := registrytest.New()
	mirror.Push("library/app", "1", img)
	mirror.Throttle(2 * mib)
	server, err := NewServer(ServerOptions{Mirrors: []string{mirror.Start(t)}, CacheDir: t.TempDir(), SegmentSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.handler = serve.New(serve.Options{Cache: server.cache, Upstream: server.upstream, TagTTL: time.Hour, PauseAfter: 200 * time.Millisecond})
	web := httptest.NewServer(server)
	defer web.Close()
	layer := img.Layers[0]
	get := func(path string) *http.Response {
		resp, err := http.Get(web.URL + "/v2/library/app/" + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		return resp
	}
	get("manifests/1").Body.Close()
	resp := get("blobs/" + layer.Digest.String())
	_, _ = io.ReadFull(resp.Body, make([]byte, 64<<10))
	resp.Body.Close()
	sent := func() int64 { return mirror.Stats().Blobs[layer.Digest] }
	time.Sleep(800 * time.Millisecond)
	paused := sent()
	time.Sleep(500 * time.Millisecond)
	if n := sent(); n != paused || n > layer.Size/2 {
		t.Errorf("the mirror has sent %d bytes, and then %d", paused, n)
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
	server, err := NewServer(ServerOptions{Mirrors: []string{mirror.Start(t)}, CacheDir: t.TempDir(), Config: sources.Config{Cache: s3.URL("team")}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const wait = 2 * time.Second
	server.handler = serve.New(serve.Options{Cache: server.cache, Bucket: server.bucket, Upstream: server.upstream, TagTTL: time.Hour, WaitForOther: wait})
	web := httptest.NewServer(server)
	defer web.Close()
	layer := img.Layers[0]
	get := func(path string) []byte {
		resp, err := http.Get(web.URL + "/v2/library/app/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		return body
	}
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
	get("manifests/1") // from now on, the server fetches the image
	body := get("blobs/" + layer.Digest.String())
	if took := time.Since(began); string(body) != string(layer.Bytes()) || took < wait/2 || took > serve.DefaultWaitForOther/2 {
		t.Errorf("%d bytes after %v", len(body), took)
	}
}
