package weaknet

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// subnet is the network of all hosts; TEST-NET-2 of RFC 5737, which no real
// host uses.
var subnet = netip.MustParsePrefix("198.51.100.0/24")

// Network is a set of hosts that reach each other over their links.
type Network struct {
	hosts []*Host
	box   *box
}

// New makes a network of at most 250 hosts, one for each link.
func New(links ...Link) (*Network, error) {
	if len(links) > 250 {
		return nil, fmt.Errorf("weaknet: %d hosts are more than 250", len(links))
	}
	n := &Network{}
	address := subnet.Addr()
	var ports []*port
	for i, link := range links {
		address = address.Next()
		host, err := newHost(address)
		if err != nil {
			n.close()
			return nil, fmt.Errorf("weaknet: host %d: %w", i, err)
		}
		n.hosts = append(n.hosts, host)
		ports = append(ports, &port{
			address: key(address),
			host:    host,
			up:      newPipe(link.Up, link),
			down:    newPipe(link.Down, link),
		})
	}
	n.box = newBox(ports)
	return n, nil
}

// Host returns the host of the ith link.
func (n *Network) Host(i int) *Host { return n.hosts[i] }

// Settle waits until no packet has been on its way for a while, or for the
// limit. After a process has ended, what servers had sent to it still arrives.
func (n *Network) Settle(limit time.Duration) {
	const quiet, poll = 100 * time.Millisecond, 5 * time.Millisecond
	start := time.Now()
	for busy := start; time.Since(busy) < quiet && time.Since(start) < limit; time.Sleep(poll) {
		if !n.box.idle() {
			busy = time.Now()
		}
	}
}

// Close ends the network. Processes in it that still run are killed;
// listeners and connections must be closed by those who opened them.
func (n *Network) Close() error {
	err := n.close()
	n.box.close()
	return err
}

func (n *Network) close() error {
	var errs []error
	for _, host := range n.hosts {
		errs = append(errs, host.close())
	}
	return errors.Join(errs...)
}

func key(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
