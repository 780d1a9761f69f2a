package registrytest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const repo = "library/ubuntu"

// serveBlob starts a registry with one blob, and returns the blob's address.
func serveBlob(t *testing.T, b Blob) (reg *Server, address string) {
	t.Helper()
	reg = New()
	reg.AddBlob(repo, b)
	return reg, reg.Start(t) + blobPath(b)
}

func blobPath(b Blob) string { return "/v2/" + repo + "/blobs/" + b.Digest.String() }

// answer is a response that was read to its end.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error // while reading the body, or before there was one
}

// newClient follows no redirects and adds no header.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request with headers given as "Name: value".
func ask(t *testing.T, c *http.Client, method, address string, headers ...string) answer {
	t.Helper()
	return askContext(t.Context(), t, c, method, address, headers...)
}

func askContext(ctx context.Context, t *testing.T, c *http.Client, method, address string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body, err}
}

func get(t *testing.T, address string, headers ...string) answer {
	t.Helper()
	return ask(t, newClient(t), http.MethodGet, address, headers...)
}

func wantBody(t *testing.T, a answer, status int, body []byte) {
	t.Helper()
	if a.Err != nil || a.Status != status || !bytes.Equal(a.Body, body) {
		t.Errorf("got status %d, %d bytes, error %v; want status %d and the right %d bytes",
			a.Status, len(a.Body), a.Err, status, len(body))
	}
}

// servePipe serves in memory, which works in the fake time of synctest, and
// returns a client for any address.
func servePipe(t *testing.T, h http.Handler) *http.Client {
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	return &http.Client{Transport: transport}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
