package program

import (
	"fmt"
	"net"
	"os/exec"
)

// Place is where servers listen and programs run: this machine, or a host of a
// simulated network.
type Place interface {
	Listen(port uint16) (net.Listener, error)
	Dial(address string) (net.Conn, error)
	Start(*exec.Cmd) error
}

// Loopback is the Place on this machine's loopback interface.
type Loopback struct{}

// Listen announces on a TCP port; 0 chooses one.
func (Loopback) Listen(port uint16) (net.Listener, error) {
	return net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
}

// Dial connects to an address.
func (Loopback) Dial(address string) (net.Conn, error) { return net.Dial("tcp4", address) }

// Start starts a process.
func (Loopback) Start(cmd *exec.Cmd) error { return cmd.Start() }
