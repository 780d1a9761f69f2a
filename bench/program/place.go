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

// FreeAddress is an address of the place on which no server listens now.
func FreeAddress(at Place) (string, error) {
	listener, err := at.Listen(0)
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Listens returns a check for Daemon that a server accepts connections.
func Listens(at Place, address string) (ready func() error) {
	return func() error {
		conn, err := at.Dial(address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
