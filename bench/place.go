package main

import (
	"fmt"
	"net"
	"os/exec"
)

// place is where servers listen and programs run: this machine's loopback, or
// a host of a weaknet.
type place interface {
	Listen(port uint16) (net.Listener, error)
	Dial(address string) (net.Conn, error)
	Start(*exec.Cmd) error
}

type loopback struct{}

func (loopback) Listen(port uint16) (net.Listener, error) {
	return net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
}

func (loopback) Dial(address string) (net.Conn, error) { return net.Dial("tcp4", address) }

func (loopback) Start(cmd *exec.Cmd) error { return cmd.Start() }
