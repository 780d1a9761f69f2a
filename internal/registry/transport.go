package registry

import (
	"bytes"
	"cmp"
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
	errorTimeout   = 2 * time.Second // for an error's body
)

// hostTransport is the layer below the retries. It distinguishes the configured host
// from all others: only that host gets the extra headers and the client's
// certificates, and the others must have public addresses, unless the host itself has
// an internal one.
//
// It has no CloseIdleConnections on purpose: retryablehttp calls that method on each
// request that it gives up, which would close the connections of all requests.
type hostTransport struct {
	home      *home // nil: all hosts are others
	header    http.Header
	userAgent string
	proxy     func(*http.Request) (*url.URL, error)
	own       *http.Transport
	others    *http.Transport
	private   bool         // other hosts may be at private addresses
	public    atomic.Bool  // the host answered from a public address
	internal  atomic.Bool  // the host answered from an address that is not public
	window    atomic.Int64 // bytes that a new connection may receive unread; 0: the system's choice
	connect   dialFunc     // to the own host, or to its proxy
	pool      atomic.Pointer[pool]
}

func newHostTransport(home *home, cfg Config) *hostTransport {
	t := &hostTransport{home: home, header: cfg.Header, userAgent: cfg.UserAgent, proxy: cfg.Proxy, private: cfg.PrivateStorage}
	dialer := newDialer()
	dialer.Timeout = cmp.Or(cfg.DialTimeout, dialer.Timeout)
	t.connect = t.windowed(dialer.DialContext)
	t.own = newTransport(cfg.TLS, cfg.Proxy, t.dial)
	t.own.DialTLSContext = t.dialTLS
	g := &guard{dialer: newDialer(), strict: t.strict}
	t.others = newTransport(withoutIdentity(cfg.TLS), g.remember(cfg.Proxy), t.windowed(g.dial))
	return t
}

// newForeignTransport returns a transport for public addresses only, without a host of
// its own.
func newForeignTransport(cfg Config) *hostTransport {
	t := &hostTransport{userAgent: cfg.UserAgent, proxy: cfg.Proxy}
	g := &guard{dialer: newDialer(), strict: t.strict}
	t.others = newTransport(&tls.Config{MinVersion: tls.VersionTLS12}, g.remember(cfg.Proxy), t.windowed(g.dial))
	return t
}

// windowed sets the window of the connections that dial opens.
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
	// Segments over one HTTP/2 connection are one TCP flow, which loss makes slow:
	// 11 Mbit/s became 1.2 at 1 % (measured, 50 Mbit/s, 100 ms).
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    handshakePatience,
		Protocols:              protocols,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		OnProxyConnectResponse: checkProxy,
	}
}

// keepAlive finds connections whose other end is gone within about a minute.
// Nothing else ends a request that waits for its answer.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: 15 * time.Second, KeepAliveConfig: keepAlive, Control: userTimeout}
}

// checkProxy reads a proxy's answer to CONNECT. A second request would get the same
// refusal.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return permanent("proxy " + proxy.Host + ": " + proxyLogin)
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return permanent("proxy " + proxy.Host + " refuses to connect: " + resp.Status)
	}
	return nil
}

// proxyLogin says what to do about a status of 407.
const proxyLogin = "407 Proxy Authentication Required: write user:password@ before the host of the proxy's URL, in HTTPS_PROXY, HTTP_PROXY or the proxy of the mirror's table"

// withoutIdentity returns config for other hosts: only its roots.
func withoutIdentity(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.Certificates, config.GetClientCertificate, config.ServerName = nil, nil, ""
	config.InsecureSkipVerify = false
	return config
}

func (t *hostTransport) closeIdle() {
	t.pool.Load().close()
	if t.own != nil {
		t.own.CloseIdleConnections()
	}
	t.others.CloseIdleConnections()
}

// strict reports whether other hosts must have public addresses: a host on the
// internet must not make us send requests into the local network. Behind a proxy, the
// address of the host is unknown: then a host with http counts as local.
func (t *hostTransport) strict() bool {
	secure := t.home != nil && t.home.url().Scheme == "https"
	return t.home == nil || !t.private && (t.public.Load() || secure && !t.internal.Load())
}

func (t *hostTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var resp *http.Response
	var err error
	if t.home.is(req.URL) {
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
	for name, values := range t.header {
		if _, set := req.Header[http.CanonicalHeaderKey(name)]; !set {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", t.userAgent)
	}
	if via, _ := req.Context().Value(viaKey{}).(string); via != "" {
		req.Header.Set("Via", via)
	}
	resp, err := t.own.RoundTrip(req)
	if proxy, perr := t.proxy(req); err == nil && perr == nil && proxy == nil {
		t.public.Store(publicAddr(remote))
		t.internal.Store(!publicAddr(remote))
	}
	return resp, err
}

// viaKey is the key of a context's Via.
type viaKey struct{}

// WithVia returns a context for requests that have the field Via (RFC 9110, section
// 7.6.3) for the source's own host.
func WithVia(ctx context.Context, via string) context.Context {
	return context.WithValue(ctx, viaKey{}, via)
}

func (t *hostTransport) roundTripOther(req *http.Request) (*http.Response, error) {
	// Dialing checks this too, but not behind a proxy.
	if addr, err := netip.ParseAddr(req.URL.Hostname()); err == nil && t.strict() && !public(addr) {
		return nil, ErrPrivateStorage
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", t.userAgent)
	return t.others.RoundTrip(req)
}

// settle reads the body of an unexpected response into memory, bounded in size and
// time. So no caller waits for it, as the drain of retryablehttp would, and the
// connection is free for the next request. After a 101, that bound is the only one:
// the body is then the connection itself, and does not end with its request's
// context.
func settle(resp *http.Response) (*http.Response, error) {
	sent := resp.Body
	timer := time.AfterFunc(errorTimeout, func() { sent.Close() })
	body, _ := io.ReadAll(io.LimitReader(sent, maxErrorBytes)) // the beginning is enough
	timer.Stop()
	sent.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	// net/http would put a Location that it cannot parse, with its signature,
	// into an error of its own.
	if _, err := resp.Request.URL.Parse(resp.Header.Get("Location")); err != nil {
		return nil, errBadLocation
	}
	return resp, nil
}
