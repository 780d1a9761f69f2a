package registry

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counting counts the connections that a server accepts.
func counting(t *testing.T, c *Client) *atomic.Int64 {
	t.Helper()
	var opened atomic.Int64
	connect := c.transport.connect
	c.transport.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened.Add(1)
		return connect(ctx, network, address)
	}
	return &opened
}

func warmed(c *Client) int {
	connections, _ := c.Warmed()
	return connections
}

func TestRequestsTakeWarmConnections(t *testing.T) {
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, secure, blobServer)
			c := client(t, server.URL, func(cfg *Config) {
				if secure {
					cfg.TLS = roots(server)
				}
			})
			opened := counting(t, c)
			c.Warm(t.Context(), "library/ubuntu", Connections{First: 3, Most: 8}, false)
			if got := opened.Load(); got != 3 || warmed(c) != 3 {
				t.Fatalf("%d connections were opened, Warmed is %d, want 3", got, warmed(c))
			}
			var reading sync.WaitGroup
			for range 3 {
				reading.Go(func() {
					if _, err := fetchBlob(t, c, 0, 100); err != nil {
						t.Error(err)
					}
				})
			}
			reading.Wait()
			if got := opened.Load(); got != 3 {
				t.Errorf("requests opened %d more connections", got-3)
			}
		})
	}
}

func TestFarHostsGetMoreWarmConnections(t *testing.T) {
	for name, test := range map[string]struct {
		roundTrip time.Duration
		sources   int
		most      int
		want      int64
	}{
		"near":              {20 * time.Millisecond, 1, 64, 6},
		"far":               {200 * time.Millisecond, 1, 64, 43},
		"far, one of three": {200 * time.Millisecond, 3, 64, 14},
		"by satellite":      {600 * time.Millisecond, 3, 64, 22},
		"limited":           {600 * time.Millisecond, 1, 4, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, "http://registry.test")
				inMemory(t, c, blobServer)
				connect := c.transport.connect
				c.transport.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
					time.Sleep(test.roundTrip)
					return connect(ctx, network, address)
				}
				opened := counting(t, c)
				c.Warm(t.Context(), "library/ubuntu", Connections{First: 6, Most: test.most, Sources: test.sources}, false)
				if got := opened.Load(); got != test.want {
					t.Errorf("%d connections were opened, want %d", got, test.want)
				}
			})
		})
	}
}

func TestConnectionsThatNoRequestNeededAreClosed(t *testing.T) {
	for name, end := range map[string]func(*Client){
		"after 30 s":    func(*Client) { time.Sleep(warmFor + time.Second) },
		"with a client": (*Client).Close,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, "http://registry.test")
				inMemory(t, c, blobServer)
				var closed atomic.Int64
				connect := c.transport.connect
				c.transport.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := connect(ctx, network, address)
					return closes{conn, &closed}, err
				}
				c.Warm(t.Context(), "library/ubuntu", Connections{First: 6, Most: 6}, false)
				end(c)
				synctest.Wait()
				if got := closed.Load(); got != 6 {
					t.Errorf("%d of 6 connections were closed", got)
				}
			})
		})
	}
}

type closes struct {
	net.Conn
	count *atomic.Int64
}

func (c closes) Close() error {
	c.count.Add(1)
	return c.Conn.Close()
}

// A server may close a connection that says nothing, or time out on it. The
// request that net/http gives it to would fail.
func TestAWarmConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	for name, last := range map[string]string{"silently": "", "with an answer": "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, false, blobServer)
			c := client(t, server.URL)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			connect := c.transport.connect
			c.transport.connect = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return connect(ctx, network, l.Addr().String())
			}
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(last))
					conn.Close()
				}
			}()
			c.Warm(t.Context(), "library/ubuntu", Connections{First: 2, Most: 2}, false)
			c.transport.connect = connect
			time.Sleep(50 * time.Millisecond) // until the end of each has arrived
			if _, err := fetchBlob(t, c, 0, 100); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWarmFetchesTheToken(t *testing.T) {
	var registry string
	server, rec := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			_, _ = w.Write([]byte(`{"token":"good for ` + req.FormValue("scope") + `"}`))
		case req.Header.Get("Authorization") == "Bearer good for repository:library/ubuntu:pull":
			blobServer(w, req)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+registry+`/token",service="here"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	registry = server.URL
	c := client(t, server.URL)
	c.Warm(t.Context(), "library/ubuntu", Connections{First: 1, Most: 1}, true)
	before := len(rec.requests())
	if _, err := fetchBlob(t, c, 0, 100); err != nil {
		t.Fatal(err)
	}
	if got := len(rec.requests()) - before; got != 1 {
		t.Errorf("the blob took %d requests", got)
	}
}

// A proxy has its own connections.
func TestWarmLeavesProxiesAlone(t *testing.T) {
	through := &url.URL{Scheme: "http", Host: "proxy.test:3128"}
	c := client(t, "http://registry.test", func(cfg *Config) { cfg.Proxy = http.ProxyURL(through) })
	opened := counting(t, c)
	c.Warm(t.Context(), "library/ubuntu", Connections{First: 3, Most: 3}, false)
	if got := opened.Load(); got != 0 || warmed(c) != 0 {
		t.Errorf("%d connections were opened", got)
	}
}
