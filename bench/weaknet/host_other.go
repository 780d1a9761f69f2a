//go:build !linux

package weaknet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
)

// Host is a network namespace with an address.
type Host struct {
	device   *os.File
	received traffic
}

var errLinux = errors.New("network namespaces need Linux")

func newHost(netip.Addr) (*Host, error) { return nil, errLinux }

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return netip.Addr{} }

// Listen announces on a TCP port of the host; 0 chooses one.
func (h *Host) Listen(uint16) (net.Listener, error) { return nil, errLinux }

// Dial connects to an address from the host.
func (h *Host) Dial(string) (net.Conn, error) { return nil, errLinux }

// Received is what the link has delivered to the host so far.
func (h *Host) Received() Traffic { return h.received.read() }

// Start starts a process on the host. It is killed when the network is closed.
func (h *Host) Start(*exec.Cmd) error { return errLinux }

func (h *Host) close() error { return nil }
