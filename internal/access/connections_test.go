package access

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// network is a listener of connections from addresses of the test's choice.
type network struct {
	incoming chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func newNetwork() *network {
	return &network{incoming: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.incoming:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error { n.once.Do(func() { close(n.closed) }); return nil }

func (n *network) Addr() net.Addr { return remote("192.0.2.1:5050") }

type remote string

func (remote) Network() string  { return "tcp" }
func (r remote) String() string { return string(r) }

type from struct {
	net.Conn
	remote
}

func (f from) RemoteAddr() net.Addr { return f.remote }

// dial connects from an address, and returns the client's end.
func (n *network) dial(address string) net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		select {
		case n.incoming <- from{theirs, remote(address)}:
		case <-n.closed:
			theirs.Close()
		}
	}()
	return ours
}

// request sends a request and returns the answer, "closed" if the connection is closed, or
// "waits" if nothing has come.
func request(c net.Conn) string {
	answer := make(chan string, 1)
	go func() {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			answer <- "closed"
			return
		}
		buf := make([]byte, 1000)
		n, err := c.Read(buf)
		if err != nil {
			answer <- "closed"
			return
		}
		answer <- strings.TrimSpace(strings.SplitN(string(buf[:n]), "\r\n", 2)[0])
	}()
	synctest.Wait()
	select {
	case a := <-answer:
		return a
	default:
		return "waits"
	}
}

const ok = "HTTP/1.1 200 OK"

// withServer runs a test with a server whose answers each wait for a receive from busy.
func withServer(t *testing.T, limits *Connections, test func(t *testing.T, n *network, busy chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		n, busy := newNetwork(), make(chan struct{})
		if limits.Log == nil {
			limits.Log = slog.New(slog.DiscardHandler)
		}
		server := &http.Server{ConnState: limits.State, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			<-busy
		})}
		at := limits.Listen(n)
		go server.Serve(at)
		test(t, n, busy)
		server.Close()
		synctest.Wait()
		if len(limits.open) > 0 || len(limits.clients) > 0 {
			t.Errorf("%d connections and %d clients are counted after the end", len(limits.open), len(limits.clients))
		}
	})
}

func TestNetworks(t *testing.T) {
	var log bytes.Buffer
	limits := &Connections{
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	}
	withServer(t, limits, func(t *testing.T, n *network, busy chan struct{}) {
		close(busy)
		for address, want := range map[string]string{
			"10.1.2.3:1": ok, "[::ffff:10.1.2.3]:1": ok, "[2001:db8::1]:1": ok, "@": ok, // a Unix socket
			"11.1.2.3:1": "closed", "[2001:db9::1]:1": "closed", "127.0.0.1:1": "closed",
		} {
			if got := request(n.dial(address)); got != want {
				t.Errorf("%s: %s", address, got)
			}
		}
	})
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines for one reason in one minute:\n%s", lines, &log)
	}
}

// A client has no more than its number, unless one of its connections is idle; others are
// not concerned.
func TestConnectionsOfOneClient(t *testing.T) {
	withServer(t, &Connections{MostPerClient: 2}, func(t *testing.T, n *network, busy chan struct{}) {
		first, second := n.dial("10.0.0.1:1"), n.dial("10.0.0.1:2")
		request(first)
		request(second)
		if got := request(n.dial("10.0.0.1:3")); got != "closed" {
			t.Errorf("the third connection: %s", got)
		}
		if got := request(n.dial("10.0.0.2:1")); got != "waits" {
			t.Errorf("another client: %s", got)
		}
		for i, address := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"} {
			if got := request(n.dial(address)); (got == "closed") != (i == 2) {
				t.Errorf("connection %d of a network: %s", i+1, got)
			}
		}
		close(busy) // all are idle
		synctest.Wait()
		if got := request(n.dial("10.0.0.1:4")); got != ok {
			t.Errorf("a connection after an idle one: %s", got)
		}
	})
}

// More connections than the number wait, and take the place of those that end or are idle.
func TestAllConnections(t *testing.T) {
	withServer(t, &Connections{Most: 2}, func(t *testing.T, n *network, busy chan struct{}) {
		first := n.dial("10.0.0.1:1")
		request(first)
		request(n.dial("10.0.0.2:1"))
		third, fourth := n.dial("10.0.0.3:1"), n.dial("10.0.0.4:1")
		if got := request(third) + request(fourth); got != "waitswaits" {
			t.Errorf("the next two: %s", got)
		}
		busy <- struct{}{} // one of the first two is idle, and ends
		busy <- struct{}{}
		busy <- struct{}{} // one that waited
		busy <- struct{}{}
		synctest.Wait()
		close(busy)
		if got := request(n.dial("10.0.0.5:1")); got != ok {
			t.Errorf("the fifth: %s", got)
		}
	})
}

// A server that ends does not wait for connections which wait.
func TestConnectionsThatWaitEnd(t *testing.T) {
	withServer(t, &Connections{Most: 1}, func(t *testing.T, n *network, busy chan struct{}) {
		request(n.dial("10.0.0.1:1"))
		if got := request(n.dial("10.0.0.2:1")); got != "waits" {
			t.Errorf("the second: %s", got)
		}
		close(busy)
	})
}
