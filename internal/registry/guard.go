package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
)

var errNotPublic = errors.New("refused: not a public address")

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// guard dials, and while it is strict only public addresses. It looks at the
// address when it is connected to, so that no name resolves to one thing for
// the check and to another for the connection. The user's proxies may be
// anywhere.
type guard struct {
	dialer  *net.Dialer
	strict  func() bool
	proxies sync.Map // host:port of each proxy that was chosen
}

// remember lets through the proxies that choose returns.
func (g *guard) remember(choose func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		proxy, err := choose(req)
		if proxy != nil {
			g.proxies.Store(hostPort(proxy), true)
		}
		return proxy, err
	}
}

func (g *guard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if _, proxy := g.proxies.Load(addr); proxy || !g.strict() {
		return g.dialer.DialContext(ctx, network, addr)
	}
	strict := *g.dialer
	strict.ControlContext = refuseInternal
	return strict.DialContext(ctx, network, addr)
}

func refuseInternal(_ context.Context, _, address string, _ syscall.RawConn) error {
	if ap, err := netip.ParseAddrPort(address); err != nil || !public(ap.Addr()) {
		return errNotPublic
	}
	return nil
}

var (
	carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598; metadata services of clouds too
	nat64      = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052
)

// public reports whether addr is neither loopback, private, link-local,
// multicast, unspecified, nor of a carrier's NAT.
func public(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !carrierNAT.Contains(addr)
}

func publicAddr(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && public(tcp.AddrPort().Addr())
}
