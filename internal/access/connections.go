package access

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// logInterval is the least time between two lines about one reason to refuse connections.
const logInterval = time.Minute

// Connections bounds which connections the listeners of a server accept, and how many. Its
// fields must not change after the first call of Listen. It is safe for concurrent use.
type Connections struct {
	// Networks are those from which clients may connect. Empty: all.
	Networks []netip.Prefix
	// Most is how many connections are open at once; others wait. 0: no limit.
	Most int
	// MostPerClient is how many connections an address has at once, or an IPv6 network
	// of 64 bits; others are closed. 0: no limit.
	MostPerClient int
	// Log receives a line for what is refused, at most one a minute for each reason.
	Log *slog.Logger

	mu      sync.Mutex     // guards what follows
	open    map[*conn]bool // whether it is idle
	clients map[netip.Prefix]int
	freed   chan struct{} // closed when a connection has ended
	logged  map[string]time.Time
}

// Listen returns a listener of the connections that at accepts, within the limits. A
// connection by a Unix socket has no network, and counts for Most only.
func (c *Connections) Listen(at net.Listener) net.Listener {
	return &listener{Listener: at, all: c, closed: make(chan struct{})}
}

// State is for http.Server.ConnState: where connections wait for one to end, idle ones do.
func (c *Connections) State(nc net.Conn, state http.ConnState) {
	if over, ok := nc.(*tls.Conn); ok {
		nc = over.NetConn()
	}
	our, ok := nc.(*conn)
	if !ok {
		return
	}
	c.mu.Lock()
	_, open := c.open[our]
	if open {
		c.open[our] = state == http.StateIdle
	}
	waited := c.freed != nil
	c.mu.Unlock()
	if open && waited && state == http.StateIdle {
		our.Close()
	}
}

// admit counts a connection, and reports whether it may stay. wait is closed when there
// may be room for it.
func (c *Connections) admit(nc *conn) (ok bool, wait <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.MostPerClient > 0 && nc.client.IsValid() && c.clients[nc.client] >= c.MostPerClient && !c.closeIdle(nc.client) {
		c.refused("a client has as many connections as max-connections-per-client lets it have", nc)
		return false, nil
	}
	if c.Most > 0 && len(c.open) >= c.Most && !c.closeIdle(netip.Prefix{}) {
		c.refused("connections wait: max-connections are open", nc)
		if c.freed == nil {
			c.freed = make(chan struct{})
		}
		return false, c.freed
	}
	if c.open == nil {
		c.open, c.clients = make(map[*conn]bool), make(map[netip.Prefix]int)
	}
	c.open[nc] = false
	c.clients[nc.client]++
	return true, nil
}

// closeIdle closes an idle connection, of a client if one is given, and reports whether
// there was one. The caller holds mu.
func (c *Connections) closeIdle(client netip.Prefix) bool {
	for nc, idle := range c.open {
		if idle && (!client.IsValid() || nc.client == client) {
			nc.Conn.Close()
			c.forget(nc)
			return true
		}
	}
	return false
}

// forget makes room. The caller holds mu.
func (c *Connections) forget(nc *conn) {
	if _, open := c.open[nc]; !open {
		return
	}
	delete(c.open, nc)
	if c.clients[nc.client]--; c.clients[nc.client] == 0 {
		delete(c.clients, nc.client)
	}
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}

// refused logs. The caller holds mu.
func (c *Connections) refused(reason string, nc net.Conn) {
	if time.Since(c.logged[reason]) < logInterval {
		return
	}
	if c.logged == nil {
		c.logged = make(map[string]time.Time)
	}
	c.logged[reason] = time.Now()
	c.Log.Warn(reason, "client", nc.RemoteAddr().String())
}

// allows reports whether a client may connect from an address; no address is that of a
// Unix socket.
func (c *Connections) allows(ip netip.Addr) bool {
	return len(c.Networks) == 0 || !ip.IsValid() || slices.ContainsFunc(c.Networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

type listener struct {
	net.Listener
	all    *Connections
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		remote := accepted.RemoteAddr().String()
		if !l.all.allows(addressOf(remote)) {
			l.all.mu.Lock()
			l.all.refused("a client is in no network of allow", accepted)
			l.all.mu.Unlock()
			accepted.Close()
			continue
		}
		nc := &conn{Conn: accepted, all: l.all, client: Client(remote)}
		if l.enter(nc) {
			return nc, nil
		}
		accepted.Close()
	}
}

// enter waits for room, and reports whether the connection may stay.
func (l *listener) enter(nc *conn) bool {
	for {
		ok, wait := l.all.admit(nc)
		if ok || wait == nil {
			return ok
		}
		select {
		case <-wait:
		case <-l.closed:
			return false
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn is a connection that makes room when it is closed.
type conn struct {
	net.Conn
	all    *Connections
	client netip.Prefix
}

// ReadFrom implements io.ReaderFrom, so that the kernel sends files.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(c.Conn, r)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.all.mu.Lock()
	c.all.forget(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// Client returns what counts as one client, of the address of a connection: an address of
// IPv4, or an IPv6 network of 64 bits. All that connect by Unix sockets are the zero value.
func Client(remote string) netip.Prefix {
	ip := addressOf(remote)
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	client, _ := ip.Prefix(bits) // the zero value for the zero value
	return client
}

// addressOf returns the address of host:port; the zero value by a Unix socket.
func addressOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
