package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	maxHeaderBytes = 256 << 10
	maxErrorBytes  = 8 << 10
	errorPatience  = 2 * time.Second // for an error's body
)

// hostTransport is what lies below the retries. It tells the configured host
// from all others: that one alone gets the extra headers and the client's
// certificates, and the others may be dialed only at public addresses unless
// the host itself is internal.
//
// It has no CloseIdleConnections on purpose: retryablehttp calls that on each
// request it gives up, which would close everybody's connections.
type hostTransport struct {
	base      *url.URL // nil: every host is another
	header    http.Header
	userAgent string
	proxy     func(*http.Request) (*url.URL, error)
	own       *http.Transport
	others    *http.Transport
	internal  atomic.Bool  // the host answered from an address that is not public
	window    atomic.Int64 // bytes that a new connection may receive unread; 0: the system's choice
}

func newHostTransport(base *url.URL, cfg Config) *hostTransport {
	t := &hostTransport{base: base, header: cfg.Header, userAgent: cfg.UserAgent, proxy: cfg.Proxy}
	t.own = newTransport(cfg.TLS, cfg.Proxy, t.windowed(newDialer().DialContext))
	g := &guard{dialer: newDialer(), strict: t.strict}
	t.others = newTransport(withoutIdentity(cfg.TLS), g.remember(cfg.Proxy), t.windowed(g.dial))
	return t
}

// newForeignTransport reaches public addresses only, and has no host of its own.
func newForeignTransport(cfg Config) *hostTransport {
	t := &hostTransport{userAgent: cfg.UserAgent, proxy: cfg.Proxy}
	g := &guard{dialer: newDialer(), strict: t.strict}
	t.others = newTransport(&tls.Config{MinVersion: tls.VersionTLS12}, g.remember(cfg.Proxy), t.windowed(g.dial))
	return t
}

// windowed gives the connections of dial the window that was chosen.
func (t *hostTransport) windowed(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && t.window.Load() > 0 {
			err = errors.Join(err, tcp.SetReadBuffer(int(t.window.Load())))
		}
		return conn, err
	}
}

func newTransport(config *tls.Config, proxy func(*http.Request) (*url.URL, error), dial dialFunc) *http.Transport {
	config = config.Clone()
	config.NextProtos = nil
	// Segments over one HTTP/2 connection are one TCP flow, which loss
	// starves: 11 Mbit/s became 1.2 at 1 % (measured, 50 Mbit/s, 100 ms).
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    20 * time.Second,
		Protocols:              protocols,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}
}

// withoutIdentity is config for hosts that it was not made for.
func withoutIdentity(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.Certificates, config.GetClientCertificate, config.ServerName = nil, nil, ""
	config.InsecureSkipVerify = false
	return config
}

func (t *hostTransport) closeIdle() {
	if t.own != nil {
		t.own.CloseIdleConnections()
	}
	t.others.CloseIdleConnections()
}

// strict reports whether other hosts must be public: a host on the internet
// must not make us ask in the local network for it.
func (t *hostTransport) strict() bool {
	return t.base == nil || t.base.Scheme == "https" && !t.internal.Load()
}

func (t *hostTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var resp *http.Response
	var err error
	if t.base != nil && sameOrigin(req.URL, t.base) {
		resp, err = t.roundTripOwn(req)
	} else {
		resp, err = t.roundTripOther(req)
	}
	if err != nil || resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		return resp, err
	}
	return settle(resp)
}

func (t *hostTransport) roundTripOwn(req *http.Request) (*http.Response, error) {
	var remote net.Addr
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { remote = info.Conn.RemoteAddr() }}
	req = req.Clone(httptrace.WithClientTrace(req.Context(), trace))
	req.Header.Set("User-Agent", t.userAgent)
	for name, values := range t.header {
		if _, set := req.Header[http.CanonicalHeaderKey(name)]; !set {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	resp, err := t.own.RoundTrip(req)
	if proxy, perr := t.proxy(req); err == nil && perr == nil && proxy == nil {
		t.internal.Store(!publicAddr(remote))
	}
	return resp, err
}

func (t *hostTransport) roundTripOther(req *http.Request) (*http.Response, error) {
	// Dialing finds this too, but not behind a proxy.
	if addr, err := netip.ParseAddr(req.URL.Hostname()); err == nil && t.strict() && !public(addr) {
		return nil, errNotPublic
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", t.userAgent)
	return t.others.RoundTrip(req)
}

// settle reads the body of a response that nobody asked for into memory,
// bounded in size and time. Nobody above waits for it then, as retryablehttp's
// drain would, and the connection can be used again. After a 101 that bound is
// the only one: the body is then the connection itself, and outlives its
// request's context.
func settle(resp *http.Response) (*http.Response, error) {
	timer := time.AfterFunc(errorPatience, func() { resp.Body.Close() })
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // what came says enough
	timer.Stop()
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	// net/http would put a Location that it cannot parse, with its signature,
	// into an error of its own.
	if _, err := resp.Request.URL.Parse(resp.Header.Get("Location")); err != nil {
		return nil, errBadLocation
	}
	return resp, nil
}
