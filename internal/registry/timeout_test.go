package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inMemory connects c to handler without a network, for tests in virtual time.
func inMemory(t *testing.T, c *Client, handler http.HandlerFunc) {
	conns := make(listener)
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(conns) }()
	c.transport.connect = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
}

type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) {
	conn, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l listener) Close() error { close(l); return nil }
func (listener) Addr() net.Addr { return &net.TCPAddr{} }

func TestTimeouts(t *testing.T) {
	silent := func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
	cut := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "99")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	}
	dribble := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		for req.Context().Err() == nil {
			_, _ = w.Write([]byte("."))
			w.(http.Flusher).Flush()
			select {
			case <-time.After(time.Second):
			case <-req.Context().Done():
			}
		}
	}
	// After a 101, neither the context nor a time-out of net/http counts.
	switching := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"))
		_, _ = io.Copy(io.Discard, conn)
	}
	created := func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusCreated)
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	}
	manifest := func(ctx context.Context, c *Client) error {
		_, _, err := c.Manifest(ctx, "a", "1")
		return err
	}
	blob := func(ctx context.Context, c *Client) error {
		_, err := c.Blob(ctx, "a", contentDescriptor(), 0, 16)
		return err
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		ask     func(context.Context, *Client) error
		limit   time.Duration // of the caller
		want    time.Duration
		timeout bool
	}{
		"manifest":                {silent, manifest, time.Hour, 30 * time.Second, true},
		"manifest's body":         {cut, manifest, time.Hour, 30 * time.Second, true},
		"blob":                    {silent, blob, time.Hour, time.Hour, false},
		"blob, impatient caller":  {silent, blob, 3 * time.Second, 3 * time.Second, false},
		"dribbling error":         {dribble, blob, time.Hour, 2 * time.Second, false},
		"another protocol":        {switching, blob, time.Hour, 2 * time.Second, false},
		"manifest, likewise":      {switching, manifest, time.Hour, 2 * time.Second, false},
		"success of another kind": {created, blob, time.Hour, 2 * time.Second, false},
		"waiting to try again":    {status(503, "Retry-After", "3"), manifest, time.Second, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, "http://registry.test")
				inMemory(t, c, test.handler)
				ctx, cancel := context.WithTimeout(t.Context(), test.limit)
				defer cancel()
				began := time.Now()
				err := test.ask(ctx, c)
				asError(t, err)
				if took := time.Since(began); took != test.want {
					t.Errorf("took %v, want %v: %v", took, test.want, err)
				}
				silent, ok := errors.AsType[silence](err)
				if ok != test.timeout || ok && !silent.Timeout() || ok && errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestAHandshakeWithoutEndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, "https://registry.test")
		c.transport.connect = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			return ours, nil
		}
		began := time.Now()
		e := get(t, c)
		if took := time.Since(began); took != 20*time.Second || !strings.Contains(e.Error(), "handshake timeout") {
			t.Errorf("took %v: %v", took, e)
		}
	})
}

func TestRetriesOfManifestTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, "http://registry.test")
		requests := 0
		inMemory(t, c, func(w http.ResponseWriter, req *http.Request) {
			if requests++; requests < 3 {
				status(429, "Retry-After", "2")(w, req)
				return
			}
			text("", "{}")(w, req)
		})
		began := time.Now()
		if _, _, err := c.Manifest(t.Context(), "a", "1"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v, want twice the Retry-After", took)
		}
	})
}
