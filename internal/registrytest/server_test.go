package registrytest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCorrectRegistry(t *testing.T) {
	img := NewImage(ImageOptions{Layers: []int64{10_000}})
	index := NewIndex(img)
	layer := img.Layers[0]
	body := layer.Bytes()
	reg := New()
	reg.Push(repo, "22.04", index)
	base := reg.Start(t)

	tests := map[string]struct {
		method, path, rang string
		status             int
		body               []byte // nil: any
		contentRange       string
	}{
		"ping":               {path: "/v2/", status: 200, body: []byte("{}")},
		"index by tag":       {path: "/v2/library/ubuntu/manifests/22.04", status: 200, body: index.Manifest.Bytes()},
		"manifest by digest": {path: "/v2/library/ubuntu/manifests/" + img.Manifest.Digest.String(), status: 200, body: img.Manifest.Bytes()},
		"range of manifest":  {path: "/v2/library/ubuntu/manifests/22.04", rang: "bytes=0-1", status: 200, body: index.Manifest.Bytes()},
		"config":             {path: blobPath(img.Config), status: 200, body: img.Config.Bytes()},
		"layer":              {path: blobPath(layer), status: 200, body: body},
		"closed range":       {path: blobPath(layer), rang: "bytes=10-19", status: 206, body: body[10:20], contentRange: "bytes 10-19/10000"},
		"open range":         {path: blobPath(layer), rang: "bytes=9990-", status: 206, body: body[9990:], contentRange: "bytes 9990-9999/10000"},
		"range past the end": {path: blobPath(layer), rang: "bytes=9990-20000", status: 206, body: body[9990:], contentRange: "bytes 9990-9999/10000"},
		"start past the end": {path: blobPath(layer), rang: "bytes=10000-10001", status: 416, contentRange: "bytes */10000"},
		"several ranges":     {path: blobPath(layer), rang: "bytes=0-1,5-6", status: 200, body: body},
		"HEAD":               {method: "HEAD", path: blobPath(layer), status: 200, body: []byte{}},
		"POST":               {method: "POST", path: "/v2/library/ubuntu/blobs/uploads", status: 405},
		"unknown tag":        {path: "/v2/library/ubuntu/manifests/1", status: 404, body: errorBody("MANIFEST_UNKNOWN")},
		"unknown blob":       {path: blobPath(RandomBlob(9, 1)), status: 404, body: errorBody("BLOB_UNKNOWN")},
		"unknown repository": {path: "/v2/library/debian/manifests/22.04", status: 404, body: errorBody("NAME_UNKNOWN")},
		"elsewhere":          {path: "/", status: 404},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			var headers []string
			if tt.rang != "" {
				headers = []string{"Range: " + tt.rang}
			}
			a := ask(t, newClient(t), tt.method, base+tt.path, headers...)
			if tt.body == nil {
				tt.body = a.Body
			}
			wantBody(t, a, tt.status, tt.body)
			if got := a.Header.Get("Content-Range"); got != tt.contentRange {
				t.Errorf("Content-Range is %q, want %q", got, tt.contentRange)
			}
		})
	}
}

func errorBody(code string) []byte {
	return fmt.Appendf(nil, `{"errors":[{"code":%q,"message":"not found"}]}`, code)
}

func TestPrefixStandsBehindV2(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	reg.Prefix = "dockerhub"
	if a := get(t, address); a.Status != 404 {
		t.Errorf("without the prefix the status is %d, want 404", a.Status)
	}
	wantBody(t, get(t, strings.Replace(address, "/v2/", "/v2/dockerhub/", 1)), 200, RandomBlob(1, 10).Bytes())
}

func TestMirrorsShareContentButNotTroubles(t *testing.T) {
	b := RandomBlob(1, 100)
	reg, address := serveBlob(t, b)
	mirror := reg.Mirror()
	mirror.Misbehave(Status(503))
	if a := get(t, mirror.Start(t)+blobPath(b)); a.Status != 503 {
		t.Errorf("the mirror's status is %d, want 503", a.Status)
	}
	wantBody(t, get(t, address), 200, b.Bytes())
	if got := mirror.Stats().Requests[KindBlob]; got != 1 {
		t.Errorf("the mirror counted %d requests, want 1", got)
	}
}

func TestStatsReportWhatWasSent(t *testing.T) {
	b := RandomBlob(1, 1000)
	reg, address := serveBlob(t, b)
	c := newClient(t)
	ask(t, c, http.MethodHead, address)
	ask(t, c, http.MethodGet, address+"?ns=docker.io", "Range: bytes=10-19", "X-Test: yes")
	ask(t, c, http.MethodGet, strings.Replace(address, "sha256:", "sha256:0", 1))

	stats := reg.Stats()
	if stats.Bytes != 10 || stats.Blobs[b.Digest] != 10 || stats.Concurrent != 1 {
		t.Errorf("%d bytes, %v by blob, %d at once; want 10, 10, 1", stats.Bytes, stats.Blobs, stats.Concurrent)
	}
	if got, want := fmt.Sprint(stats.Requests, stats.Statuses), "map[blob:2 head:1] map[200:1 206:1 404:1]"; got != want {
		t.Errorf("requests and statuses are %s, want %s", got, want)
	}
	r := stats.Log[1]
	if r.Kind != KindBlob || r.Repository != repo || r.Reference != b.Digest.String() || r.Query != "ns=docker.io" ||
		r.Range != "bytes=10-19" || r.Start != 10 || r.End != 20 || r.Header.Get("X-Test") != "yes" || r.Bytes != 10 {
		t.Errorf("logged %+v", r)
	}
	if r.Arrived.After(r.FirstByte) || r.FirstByte.After(r.Done) {
		t.Errorf("times are out of order: %v, %v, %v", r.Arrived, r.FirstByte, r.Done)
	}
	reg.ResetStats()
	if stats := reg.Stats(); stats.Bytes != 0 || len(stats.Log) != 0 {
		t.Errorf("after ResetStats there are %+v", stats)
	}
}

func TestKilledServerDoesNotAnswerUntilItIsRevived(t *testing.T) {
	b := RandomBlob(1, 4<<20)
	reg, address := serveBlob(t, b)
	reg.Misbehave(StallAfter(1 << 20))
	running := make(chan answer)
	go func() { running <- get(t, address) }()
	for reg.Stats().Bytes == 0 {
		time.Sleep(time.Millisecond)
	}
	reg.Kill()
	if a := <-running; a.Err == nil {
		t.Errorf("a running response ended well, with %d bytes", len(a.Body))
	}
	if a := get(t, address); a.Err == nil {
		t.Errorf("a killed server answered %d", a.Status)
	}
	reg.Revive()
	reg.Misbehave()
	wantBody(t, get(t, address, "Range: bytes=5-9"), 206, b.Bytes()[5:10])
}

// A client that doesn't read must not keep a killed server from ending.
func TestKillEndsBlockedWrites(t *testing.T) {
	b := RandomBlob(1, 1)
	b.ReaderAt, b.Size = newNoise(1), 1<<30 // more than sockets hold
	reg, address := serveBlob(t, b)
	resp, err := newClient(t).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reg.Kill()
	for reg.Stats().Log[0].Done.IsZero() {
		time.Sleep(time.Millisecond)
	}
}

func TestThrottles(t *testing.T) {
	tests := map[string]struct {
		server, conn int64
		clients      int
		want         time.Duration // for 1 MiB to each client
	}{
		"server":               {server: 512 << 10, clients: 4, want: 8 * time.Second},
		"connection":           {conn: 512 << 10, clients: 4, want: 2 * time.Second},
		"both, server binds":   {server: 512 << 10, conn: 512 << 10, clients: 2, want: 4 * time.Second},
		"both, conn binds":     {server: 8 << 20, conn: 256 << 10, clients: 2, want: 4 * time.Second},
		"a fast one, one link": {server: 64 << 20, clients: 1, want: time.Second / 64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := RandomBlob(1, 1<<20)
				reg := New()
				reg.AddBlob(repo, b)
				reg.Throttle(tt.server)
				reg.ThrottleConnections(tt.conn)
				client := servePipe(t, reg)
				start := time.Now()
				var wg sync.WaitGroup
				for range tt.clients {
					wg.Go(func() {
						wantBody(t, ask(t, client, http.MethodGet, "http://registry"+blobPath(b)), 200, b.Bytes())
					})
				}
				wg.Wait()
				if took := time.Since(start); (took - tt.want).Abs() > tt.want/100 {
					t.Errorf("took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func TestBodiesFlowWithoutBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1 << 20
		b := RandomBlob(1, 2<<20)
		reg := New()
		reg.AddBlob(repo, b)
		reg.Throttle(rate)
		resp, err := servePipe(t, reg).Get("http://registry" + blobPath(b))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		start, got, p := time.Now(), int64(0), make([]byte, 4<<10)
		for err == nil {
			var n int
			n, err = resp.Body.Read(p)
			got += int64(n)
			due := int64(time.Since(start).Seconds() * rate)
			if (got-due) > 8<<10 || (due-got) > 16<<10 {
				t.Fatalf("%d bytes after %v, want %d", got, time.Since(start), due)
			}
		}
		if got != b.Size {
			t.Errorf("got %d bytes, want %d: %v", got, b.Size, err)
		}
	})
}

// BenchmarkThrottle shows how near to the rate real sockets come: "of-rate".
func BenchmarkThrottle(b *testing.B) {
	for _, rate := range []int64{1 << 20, 16 << 20, 128 << 20, 0} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			blob := RandomBlob(1, max(rate, 256<<20))
			reg := New()
			reg.AddBlob(repo, blob)
			reg.Throttle(rate)
			server := httptest.NewServer(reg)
			defer server.Close()
			req, err := http.NewRequest(http.MethodGet, server.URL+blobPath(blob), nil)
			if err != nil {
				b.Fatal(err)
			}
			if rate > 0 { // one second
				req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", rate-1))
			}
			start, total := time.Now(), int64(0)
			for b.Loop() {
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil {
					b.Fatal(err)
				}
				total += n
			}
			b.SetBytes(total / int64(b.N))
			if rate > 0 {
				b.ReportMetric(float64(total)/time.Since(start).Seconds()/float64(rate), "of-rate")
			}
		})
	}
}
