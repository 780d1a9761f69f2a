package registry

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"syscall"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// guard dials; while it is strict, it dials only public addresses. It checks the
// address of the connection itself, so that a name cannot resolve to one address for
// the check and to another for the connection. The user's proxies may have any
// address.
type guard struct {
	dialer  *net.Dialer
	strict  func() bool
	proxies sync.Map // host:port of each proxy that was chosen
}

// remember allows the addresses of the proxies that choose returns.
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

func refuseInternal(_ context.Context, network, address string, conn syscall.RawConn) error {
	if ap, err := netip.ParseAddrPort(address); err != nil || !public(ap.Addr()) {
		return ErrPrivateStorage
	}
	return userTimeout(network, address, conn)
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: an IPv4 address in the last 32 bits
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056: one in the 32 bits behind the prefix
	allocated = netip.MustParsePrefix("2000::/3")     // what IANA allocates as global unicast of IPv6

	// localIPv4 has the networks of IANA's special-purpose registry that are inside
	// of local networks, and that netip takes for global unicast.
	localIPv4 = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),     // RFC 791: this network
		netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598: carriers' NAT; metadata services of clouds too
		netip.MustParsePrefix("192.0.0.0/24"),  // RFC 6890; metadata services too
		netip.MustParsePrefix("240.0.0.0/4"),   // RFC 1112: reserved
	}
)

// public reports whether addr, or the IPv4 address in it, is in a range that is
// routed on the internet: it is not a loopback, private, link-local, multicast or
// unspecified address.
func public(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	switch b := addr.As16(); {
	case nat64.Contains(addr):
		addr = netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(addr):
		addr = netip.AddrFrom4([4]byte(b[2:6]))
	}
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false
	}
	if addr.Is6() {
		return allocated.Contains(addr)
	}
	return !slices.ContainsFunc(localIPv4, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func publicAddr(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && public(tcp.AddrPort().Addr())
}
