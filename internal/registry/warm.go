package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstWindow is how many bytes a new connection carries in its first round
	// trip: ten segments (RFC 6928).
	firstWindow = 10 * 1460
	// firstRate is, in bytes a second, what the first round trip of the warm
	// connections to all sources together should bring.
	firstRate = 3 << 20
	// firstFlight is how many bytes that should be at the most: more overflows the
	// queue of a slow link.
	firstFlight = 960 << 10
	// warmFor is how long a connection waits for a request. Servers close those
	// that say nothing.
	warmFor = 30 * time.Second
	// handshakePatience bounds the handshake of TLS.
	handshakePatience = 20 * time.Second
)

// errHandshake ends a handshake that takes longer than handshakePatience.
var errHandshake net.Error = handshakeTimeout{}

type handshakeTimeout struct{}

func (handshakeTimeout) Error() string   { return "TLS handshake timeout" }
func (handshakeTimeout) Timeout() bool   { return true }
func (handshakeTimeout) Temporary() bool { return true }

// Connections is how many connections Warm opens.
type Connections struct {
	// First is opened in any case.
	First int
	// Most is the limit. A host that is far away gets more than First, since each
	// connection brings little in its first round trips.
	Most int
	// Sources is how many hosts share what the user's link carries. 0: this one.
	Sources int
}

// Warm opens connections to the host, and fetches the token that requests for
// blobs of the repository need, so that the first of these can be sent at once.
// Requests take the connections; Close, or the end of 30 s, closes those that no
// request took.
//
// Warm asks for the token only if greet is set. It returns when everything is
// done or ctx ends. It reports no failure: the requests meet the same one. Only
// the first call opens connections.
func (c *Client) Warm(ctx context.Context, repository string, n Connections, greet bool) {
	if c.chooseScheme(ctx) != nil {
		return
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	if greet {
		parts.Go(func() { c.greet(ctx, repository) })
	}
	c.transport.warm(ctx, n)
}

// Warmed returns how many connections Warm has opened or is opening, and how long a
// round trip to the host takes; 0 where it is not known.
func (c *Client) Warmed() (connections int, roundTrip time.Duration) {
	if p := c.transport.pool.Load(); p != nil {
		return int(p.promised.Load()), time.Duration(p.roundTrip.Load())
	}
	return 0, 0
}

// greet asks for the challenge of the host, and answers it. A challenge that
// comes with a request for a blob costs as many round trips, one after the other.
func (c *Client) greet(ctx context.Context, repository string) {
	o := c.blobs
	t, known := o.target(c.endpoint(repository, "blobs", ""))
	if !known || o.auth.tokens.get(t) != nil {
		return
	}
	offer, ok := o.auth.greeting.offer(ctx, o.auth.next, t.greet)
	if !ok {
		return
	}
	n := negotiation{auth: &o.auth, target: t}
	_, _ = n.obtain(ctx, offer) // the first request for a blob meets the same error
}

// warm opens connections to the own host, unless a proxy stands between.
func (t *hostTransport) warm(ctx context.Context, n Connections) {
	at := t.home.url()
	if proxy, err := t.proxy(&http.Request{URL: at}); proxy != nil || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, warmFor)
	p := &pool{scheme: at.Scheme, address: hostPort(at), conns: make(chan net.Conn, n.Most), stop: cancel}
	if !t.pool.CompareAndSwap(nil, p) {
		cancel()
		return
	}
	p.fill(ctx, n, t)
}

// dial connects to the own host, or to its proxy.
func (t *hostTransport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if conn := t.pool.Load().take(ctx, "http", address); conn != nil {
		return conn, nil
	}
	return t.connect(ctx, network, address)
}

// dialTLS connects to the own host by TLS.
func (t *hostTransport) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	if conn := t.pool.Load().take(ctx, "https", address); conn != nil {
		return conn, nil
	}
	return t.connectTLS(ctx, network, address)
}

func (t *hostTransport) connectTLS(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := t.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return t.secure(ctx, conn, address)
}

// secure shakes hands, and closes the connection if that fails.
func (t *hostTransport) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	config := t.own.TLSClientConfig
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	limited, cancel := context.WithTimeout(ctx, handshakePatience)
	defer cancel()
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(limited); err != nil {
		conn.Close()
		if limited.Err() != nil && ctx.Err() == nil {
			err = errHandshake
		}
		return nil, err
	}
	return client, nil
}

// pool holds connections to one address that no request has used.
type pool struct {
	scheme, address string
	conns           chan net.Conn // one for each that was promised; nil where it failed
	promised        atomic.Int64  // connections that were opened or are being opened
	unclaimed       atomic.Int64  // of these, those that nobody waits for
	roundTrip       atomic.Int64  // nanoseconds; 0: not known yet
	stop            context.CancelFunc
}

// fill opens connections, and more of them once it is known how far away the
// host is.
func (p *pool) fill(ctx context.Context, n Connections, t *hostTransport) {
	context.AfterFunc(ctx, p.drain)
	var opening sync.WaitGroup
	defer opening.Wait()
	var measured sync.Once
	var open func(connections int)
	first := min(n.First, n.Most)
	far := func(roundTrip time.Duration) {
		measured.Do(func() {
			p.roundTrip.Store(int64(roundTrip))
			open(min(enough(roundTrip, n.Sources), n.Most) - first)
		})
	}
	open = func(connections int) {
		for range p.promise(connections) {
			opening.Go(func() { p.conns <- p.open(ctx, t, far) })
		}
	}
	open(first)
}

// enough is how many connections to one of so many sources carry with their first
// windows what is useful: all sources share the user's link.
func enough(roundTrip time.Duration, sources int) int {
	return int(min(firstRate*roundTrip.Seconds(), firstFlight) / float64(max(1, sources)) / firstWindow)
}

func (p *pool) promise(n int) int {
	n = max(0, n)
	p.promised.Add(int64(n))
	p.unclaimed.Add(int64(n))
	return n
}

// open returns a connection, nil if that failed. It calls measured with how long
// a round trip to the host takes.
func (p *pool) open(ctx context.Context, t *hostTransport, measured func(time.Duration)) net.Conn {
	began := time.Now()
	trace := &httptrace.ClientTrace{DNSDone: func(httptrace.DNSDoneInfo) { began = time.Now() }}
	conn, err := t.connect(httptrace.WithClientTrace(ctx, trace), "tcp", p.address)
	if err != nil {
		return nil
	}
	measured(cmp.Or(roundTrip(conn), time.Since(began)))
	if p.scheme == "https" {
		if conn, err = t.secure(ctx, conn, p.address); err != nil {
			return nil
		}
	}
	return conn
}

// take returns a connection for a request to the address, and waits for one that
// is being opened; nil if there is none. A pool that is nil has none.
func (p *pool) take(ctx context.Context, scheme, address string) net.Conn {
	if p == nil || p.scheme != scheme || p.address != address {
		return nil
	}
	for p.claim() {
		select {
		case conn := <-p.conns:
			if conn != nil && usable(conn) {
				return conn
			}
			if conn != nil {
				conn.Close()
			}
		case <-ctx.Done():
			p.unclaimed.Add(1)
			return nil
		}
	}
	return nil
}

// claim reserves a connection that nobody waits for.
func (p *pool) claim() bool {
	for n := p.unclaimed.Load(); n > 0; n = p.unclaimed.Load() {
		if p.unclaimed.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// drain closes the connections that no request took.
func (p *pool) drain() {
	for p.claim() {
		if conn := <-p.conns; conn != nil {
			conn.Close()
		}
	}
}

// close ends what is being opened, and closes the rest. A pool that is nil has
// nothing to close.
func (p *pool) close() {
	if p == nil {
		return
	}
	p.stop()
	p.drain()
}
