package realtest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// gauge is a proxy before a registry that measures and limits the blobs that it serves.
type gauge struct {
	url    string
	server *httptest.Server
	limit  *rate.Limiter
	served atomic.Int64 // bytes
	open   atomic.Int64 // responses under way
}

func newGauge(t *testing.T, r registry) *gauge {
	t.Helper()
	target, err := url.Parse(r.url())
	if err != nil {
		t.Fatal(err)
	}
	g := &gauge{limit: rate.NewLimiter(rate.Inf, 64<<10)}
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0), // of clients that were killed
	}
	g.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			g.open.Add(1)
			defer g.open.Add(-1)
			w = gaugedWriter{w, r.Context(), g}
		}
		proxy.ServeHTTP(w, r)
	}))
	// What the kernel holds for a client counts as served: keep it small.
	g.server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew {
			tcp.SetWriteBuffer(64 << 10)
		}
	}
	g.server.Start()
	t.Cleanup(g.server.Close)
	g.url = g.server.URL
	return g
}

// die makes the registry unreachable.
func (g *gauge) die() {
	g.server.Listener.Close()
	g.server.CloseClientConnections()
}

// settle waits until the responses to a killed client have ended.
func (g *gauge) settle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(programTimeout); g.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a response to a client that is gone does not end")
		}
	}
}

type gaugedWriter struct {
	http.ResponseWriter
	ctx   context.Context
	gauge *gauge
}

func (w gaugedWriter) Write(p []byte) (int, error) {
	if err := w.gauge.limit.WaitN(w.ctx, len(p)); err != nil {
		return 0, err
	}
	n, err := w.ResponseWriter.Write(p)
	w.gauge.served.Add(int64(n))
	return n, err
}

func (w gaugedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
