// Package servetest tests a server as clients meet it: with plain HTTP requests, before
// mirrors that misbehave.
package servetest

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	// ns is the registry of pulltest.Ref, and path where its image is.
	ns   = "?ns=registry.example"
	path = "/v2/" + pulltest.Repo

	// soonEnough is how long an answer may take, on any machine, that waits for no mirror or
	// for a limited time: engines wait 30 s. atOnce is the same for one that waits for
	// nothing, which is less than the time that mirrors have.
	soonEnough = 20 * time.Second
	atOnce     = 4 * time.Second
)

func TestMain(m *testing.M) { pulltest.Main(m) }

// fixture is a server before mirrors.
type fixture struct {
	*pulltest.Mirrors
	img    registrytest.Image
	dir    string
	server *segpull.Server
	url    string
	log    *logged
	stop   func() // ends the server, and waits for its requests
}

// logged is what a server has logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start starts a server before mirrors with an image. edit may change the options.
func start(t *testing.T, mirrors int, img registrytest.Image, edit func(*segpull.ServerOptions)) *fixture {
	t.Helper()
	f := &fixture{Mirrors: pulltest.Serve(t, mirrors, img), img: img, dir: t.TempDir()}
	f.restart(t, edit)
	return f
}

// noRace is an option of servers for wantOnce: on a machine that is slow enough, segpull
// takes answers for overdue, and asks for them again.
func noRace(o *segpull.ServerOptions) { o.NoRace = true }

// wantOnce wants the mirrors to have sent a blob once, and little more: what is on its way
// when a connection takes over the end of another's request is not read.
func (f *fixture) wantOnce(t *testing.T, b registrytest.Blob) {
	t.Helper()
	if sent := f.SentOf(b); float64(sent) > 1.03*float64(b.Size)+256*kib {
		t.Errorf("the mirrors sent %d bytes of %d", sent, b.Size)
	}
}

// restart starts another server with the same cache and mirrors.
func (f *fixture) restart(t *testing.T, edit func(*segpull.ServerOptions)) {
	t.Helper()
	f.log = &logged{}
	opts := segpull.ServerOptions{
		Mirrors: f.URLs, CacheDir: f.dir, SegmentSize: 256 * kib,
		Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	if edit != nil {
		edit(&opts)
	}
	server, err := segpull.NewServer(opts)
	pulltest.Must(t, err)
	s := httptest.NewServer(server)
	f.server, f.url = server, s.URL
	f.stop = sync.OnceFunc(func() {
		s.CloseClientConnections()
		s.Close()
		server.Close()
	})
	t.Cleanup(f.stop)
}

// answer is the answer to a request.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	err     error         // of the body
	headers time.Duration // until they were there
	sent    int64         // bytes of blobs, by the mirrors, when the first byte of the body was there
}

// do makes a request and reads the whole answer.
func (f *fixture) do(t *testing.T, method, path string, header ...string) answer {
	t.Helper()
	began := time.Now()
	resp := f.open(t, method, path, header...)
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, headers: time.Since(began)}
	a.body = make([]byte, 0, max(resp.ContentLength, 0)+bytes.MinRead)
	for {
		a.body = slices.Grow(a.body, bytes.MinRead)
		n, err := resp.Body.Read(a.body[len(a.body):cap(a.body)])
		if n > 0 && len(a.body) == 0 {
			a.sent = f.Served()
		}
		a.body = a.body[:len(a.body)+n]
		if err == io.EOF {
			return a
		}
		if err != nil {
			a.err = err
			return a
		}
	}
}

// open makes a request. header is KEY, VALUE, …
func (f *fixture) open(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, nil)
	pulltest.Must(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	resp, err := client.Do(req)
	pulltest.Must(t, err)
	return resp
}

// get gets what must be there.
func (f *fixture) get(t *testing.T, path string, header ...string) answer {
	t.Helper()
	a := f.do(t, "GET", path, header...)
	if a.status >= 300 || a.err != nil {
		t.Errorf("GET %s: %d, %v: %.300q", path, a.status, a.err, a.body)
	}
	return a
}

// learn asks for the manifest, so that the sizes of its blobs are known.
func (f *fixture) learn(t *testing.T) { f.get(t, path+"/manifests/1"+ns) }

// metrics returns the metrics of the server.
func (f *fixture) metrics(t *testing.T) string {
	t.Helper()
	var metrics strings.Builder
	pulltest.Must(t, f.server.WriteMetrics(t.Context(), &metrics))
	return metrics.String()
}

// untilKept waits until no download runs: a client may have a blob before the cache has it.
func (f *fixture) untilKept(t *testing.T) {
	t.Helper()
	for !strings.Contains(f.metrics(t), "segpull_downloads 0\n") && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// die makes the mirrors close all connections without an answer.
func (f *fixture) die() {
	for _, s := range f.Servers {
		s.Misbehave(registrytest.Raw("", "", 0).On())
	}
}

func blobPath(b registrytest.Blob) string { return path + "/blobs/" + b.Digest.String() + ns }

// wantError wants an error of the distribution specification.
func (a answer) wantError(t *testing.T, about string, status int, code string) {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(a.body, &body); err != nil || len(body.Errors) != 1 || body.Errors[0].Code != code || a.status != status || body.Errors[0].Message == "" {
		t.Errorf("%s: %d %.300q (%d bytes, %v), want %d %s", about, a.status, a.body, len(a.body), a.err, status, code)
	}
	if strings.Contains(a.header.Get("Www-Authenticate"), "a") {
		t.Errorf("%s: a challenge", about)
	}
}
