package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/testmain"
)

func TestMain(m *testing.M) { testmain.Main(m) }

// content is what the tests' blob holds.
var content = []byte(strings.Repeat("0123456789abcdef", 4096))

func contentDescriptor() ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// recorder is a handler that remembers what it was asked.
type recorder struct {
	http.Handler
	mu   sync.Mutex
	seen []*http.Request
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.seen = append(r.seen, req.Clone(context.WithoutCancel(req.Context())))
	r.mu.Unlock()
	r.Handler.ServeHTTP(w, req)
}

func (r *recorder) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.seen...)
}

// serve starts a server of handler, over TLS if secure.
func serve(t *testing.T, secure bool, handler http.HandlerFunc) (*httptest.Server, *recorder) {
	t.Helper()
	rec := &recorder{Handler: handler}
	server := httptest.NewUnstartedServer(rec)
	server.Config.ErrorLog = nil
	server.EnableHTTP2 = true // no client may use it
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, rec
}

// blobServer serves content with ranges at every path.
func blobServer(w http.ResponseWriter, req *http.Request) {
	var first, last int
	if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
		return
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
	w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(content[first : last+1])
}

// roots trusts the certificates of httptest.
func roots(servers ...*httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	for _, s := range servers {
		pool.AddCert(s.Certificate())
	}
	return &tls.Config{RootCAs: pool}
}

func client(t *testing.T, rawURL string, change ...func(*Config)) *Client {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Name: "mirror", URL: u, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	for _, f := range change {
		f(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

// fetchBlob reads [start, end) of the tests' blob.
func fetchBlob(t *testing.T, c *Client, start, end int64) ([]byte, error) {
	t.Helper()
	s, err := c.Blob(t.Context(), "library/ubuntu", contentDescriptor(), start, end)
	if err != nil {
		return nil, err
	}
	defer s.Body.Close()
	return io.ReadAll(s.Body)
}

// asError returns err as an *Error, which all are.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T (%v), want *Error", err, err)
	}
	if strings.ContainsAny(e.Error(), "\n\r\t") {
		t.Errorf("more than one line: %q", e.Error())
	}
	return e
}

func get(t *testing.T, c *Client) *Error {
	t.Helper()
	_, _, err := c.Manifest(t.Context(), "library/ubuntu", "22.04")
	return asError(t, err)
}

func TestRequest(t *testing.T) {
	server, rec := serve(t, true, blobServer)
	c := client(t, server.URL+"/dockerhub", func(cfg *Config) {
		cfg.TLS = roots(server)
		cfg.Namespace = "docker.io"
		cfg.Header = http.Header{"x-mirror-key": {"k"}}
	})
	if _, err := fetchBlob(t, c, 16, 32); err != nil {
		t.Fatal(err)
	}
	req := rec.requests()[0]
	for what, got := range map[string][2]string{
		"path":            {req.URL.Path, "/v2/dockerhub/library/ubuntu/blobs/" + contentDescriptor().Digest.String()},
		"ns":              {req.URL.Query().Get("ns"), "docker.io"},
		"Range":           {req.Header.Get("Range"), "bytes=16-31"},
		"Accept-Encoding": {req.Header.Get("Accept-Encoding"), "identity"},
		"User-Agent":      {req.Header.Get("User-Agent"), "segpull"},
		"X-Mirror-Key":    {req.Header.Get("X-Mirror-Key"), "k"},
		"protocol":        {req.Proto, "HTTP/1.1"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %q, want %q", what, got[0], got[1])
		}
	}
}

func TestProxyIsUsed(t *testing.T) {
	proxy, rec := serve(t, false, blobServer)
	through, _ := url.Parse(proxy.URL)
	c := client(t, "http://registry.test", func(cfg *Config) { cfg.Proxy = http.ProxyURL(through) })
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
	if host := rec.requests()[0].Host; host != "registry.test" {
		t.Errorf("the proxy was asked for %q", host)
	}
}

func TestHeaderIsBounded(t *testing.T) {
	server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", maxHeaderBytes))
	})
	if _, err := fetchBlob(t, client(t, server.URL), 0, 16); err == nil {
		t.Error("a header without end was taken")
	}
}

// A request that gives up must not close the connections of the others:
// retryablehttp calls CloseIdleConnections then.
func TestGivingUpKeepsConnections(t *testing.T) {
	server, rec := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/manifests/") {
			status(503, "Retry-After", "0")(w, req)
			return
		}
		blobServer(w, req)
	})
	c := client(t, server.URL)
	two := func() {
		var streams [2]*Stream
		for i := range streams {
			var err error
			if streams[i], err = c.Blob(t.Context(), "a", contentDescriptor(), 0, 1<<16); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range streams {
			_, _ = io.Copy(io.Discard, s.Body)
			s.Body.Close()
		}
	}
	two()
	get(t, c)
	two()
	conns := map[string]bool{}
	for _, req := range rec.requests() {
		conns[req.RemoteAddr] = true
	}
	if len(conns) != 2 {
		t.Errorf("%d connections, want the first 2 all along", len(conns))
	}
}
