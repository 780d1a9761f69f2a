package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"1.1.1.1":              true,
		"198.18.0.5":           true, // how some local proxies name every host
		"2606:4700::1111":      true,
		"::ffff:1.1.1.1":       true,
		"64:ff9b::101:101":     true,
		"127.0.0.1":            false,
		"0.0.0.0":              false,
		"10.0.0.1":             false,
		"172.16.0.1":           false,
		"192.168.1.1":          false,
		"169.254.169.254":      false,
		"100.64.0.1":           false,
		"100.100.100.200":      false,
		"224.0.0.1":            false,
		"255.255.255.255":      false,
		"::":                   false,
		"::1":                  false,
		"fe80::1":              false,
		"fe80::1%eth0":         false,
		"fd00::1":              false,
		"ff02::1":              false,
		"::ffff:127.0.0.1":     false,
		"::ffff:192.168.1.1":   false,
		"64:ff9b::a00:1":       false, // 10.0.0.1
		"64:ff9b::a9fe:a9fe":   false, // 169.254.169.254
		"::ffff:100.100.100.2": false,
		"0.1.2.3":              false,
		"192.0.0.192":          false,
		"240.0.0.1":            false,
		"fd00:ec2::254":        false,
		"fec0::1":              false, // site-local, before RFC 3879
		"::127.0.0.1":          false, // IPv4-compatible, before RFC 4291
		"64:ff9b:1::a00:1":     false, // NAT64 of a network's own, RFC 8215
		"2002:a00:1::":         false, // 6to4 of 10.0.0.1
		"2002:101:101::":       true,
		"100::1":               false, // RFC 6666: discarded
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// A host on the internet has no business in the local network over http either.
func TestPublicHostOnHTTPStaysOut(t *testing.T) {
	inside, rec := serve(t, false, blobServer)
	server, _ := serve(t, false, status(307, "Location", inside.URL+"/latest/meta-data"))
	c := client(t, server.URL)
	pretendPublic(c)
	if _, err := fetchBlob(t, c, 0, 16); !errors.Is(err, ErrPrivateStorage) || len(rec.requests()) != 0 {
		t.Errorf("got %v after %d requests", err, len(rec.requests()))
	}
}

func foreign(t *testing.T, c *Client, urls ...string) (*Stream, error) {
	t.Helper()
	return c.Foreign(t.Context(), urls, contentDescriptor(), 16, 32)
}

func TestForeignStaysOutOfTheNetwork(t *testing.T) {
	server, rec := serve(t, false, blobServer)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	c := client(t, server.URL)
	for _, u := range []string{
		server.URL, "http://localhost:" + port, "http://[::1]:" + port, "http://0.0.0.0:" + port,
		"http://10.255.255.1/", "ftp://a.test/", "http://user:secret@a.test/", "/relative", "http://[::1",
	} {
		_, err := foreign(t, c, u+"?signature=secret")
		if err == nil {
			t.Fatalf("%s was asked", u)
		}
		if e := asError(t, err); strings.Contains(e.Error(), "secret") {
			t.Errorf("a secret in %v", e)
		}
	}
	_, err := foreign(t, c)
	if e := asError(t, err); !e.Missing() {
		t.Errorf("without URLs: %v", e)
	}
	if n := len(rec.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestForeignAsksFewHosts(t *testing.T) {
	inside, _ := serve(t, false, blobServer)
	c := client(t, inside.URL)
	dialed := 0
	c.foreignTransport.others.DialContext = func(context.Context, string, string) (net.Conn, error) {
		dialed++
		return nil, ErrPrivateStorage
	}
	var urls []string
	for i := range 10_000 {
		urls = append(urls, fmt.Sprintf("https://victim-%d.test/x", i))
	}
	if _, err := foreign(t, c, urls...); !errors.Is(err, ErrPrivateStorage) {
		t.Errorf("got %v", err)
	}
	if dialed != maxForeign {
		t.Errorf("%d hosts were asked", dialed)
	}
}

// A name that is public when it is asked for, and internal when it is dialed,
// is found out where it is dialed.
func TestForeignRedirect(t *testing.T) {
	inside, rec := serve(t, false, blobServer)
	outside, _ := serve(t, false, status(302, "Location", inside.URL+"/?signature=secret"))
	good, goodSeen := serve(t, false, blobServer)
	c := client(t, "http://registry.test", func(cfg *Config) {
		cfg.Header = http.Header{"X-Mirror-Key": {"k"}}
		cfg.Login = login
	})
	guarded := c.foreignTransport.others.DialContext
	c.foreignTransport.others.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		switch {
		case strings.HasPrefix(addr, "outside.test:"):
			addr = strings.TrimPrefix(outside.URL, "http://")
		case strings.HasPrefix(addr, "good.test:"):
			addr = strings.TrimPrefix(good.URL, "http://")
		case strings.HasPrefix(addr, "rebinds.test:"):
			return guarded(ctx, network, strings.TrimPrefix(inside.URL, "http://"))
		default:
			return guarded(ctx, network, addr)
		}
		return newDialer().DialContext(ctx, network, addr)
	}
	for _, u := range []string{"http://outside.test/x", "http://rebinds.test/x"} {
		if _, err := foreign(t, c, u); !errors.Is(err, ErrPrivateStorage) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if n := len(rec.requests()); n != 0 {
		t.Errorf("%d requests inside", n)
	}
	s, err := foreign(t, c, "http://outside.test/x", "http://good.test/x")
	if err != nil {
		t.Fatal(err)
	}
	s.Body.Close()
	if s.Start != 16 || s.End != 32 {
		t.Errorf("got %d-%d", s.Start, s.End)
	}
	if h := goodSeen.requests()[0].Header; h.Get("X-Mirror-Key")+h.Get("Authorization") != "" {
		t.Errorf("a foreign host got %v", h)
	}
}

// The user's own proxy may well be at a loopback address.
func TestGuardLetsProxiesThrough(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			listener, err := net.Listen("tcp", at)
			if err != nil {
				t.Skip(err)
			}
			rec := &recorder{Handler: http.HandlerFunc(blobServer)}
			proxy := httptest.NewUnstartedServer(rec)
			proxy.Listener.Close()
			proxy.Listener = listener
			proxy.Start()
			defer proxy.Close()
			through, _ := url.Parse(proxy.URL)
			c := client(t, "http://registry.test", func(cfg *Config) { cfg.Proxy = http.ProxyURL(through) })
			s, err := foreign(t, c, "http://cdn.test/x")
			if err != nil {
				t.Fatal(err)
			}
			s.Body.Close()
			if rec.requests()[0].Host != "cdn.test" {
				t.Errorf("asked for %s", rec.requests()[0].Host)
			}
			if _, err := foreign(t, c, "http://127.0.0.1/x"); !errors.Is(err, ErrPrivateStorage) {
				t.Errorf("through the proxy: %v", err)
			}
		})
	}
}
