package main

import (
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/segpull/segpull/bench/weaknet"
	"github.com/segpull/segpull/internal/registrytest"
)

// place is where servers listen and programs run: this machine's loopback, or
// a host of a weaknet.
type place interface {
	Listen(port uint16) (net.Listener, error)
	Start(*exec.Cmd) error
}

type loopback struct{}

func (loopback) Listen(port uint16) (net.Listener, error) {
	return net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
}

func (loopback) Start(cmd *exec.Cmd) error { return cmd.Start() }

// site is a network that is set up: where the user is, and the mirrors.
type site struct {
	user    place
	mirrors []running
	stops   []func()
}

// running is a mirror that serves.
type running struct {
	Mirror
	url string // http://host:port
	reg *registrytest.Server
}

// setUp serves the case's mirrors from the content of origin.
func setUp(c Case, origin *registrytest.Server) (*site, error) {
	s := &site{user: loopback{}}
	places := make([]place, len(c.Mirrors))
	for i := range places {
		places[i] = loopback{}
	}
	if c.TCP {
		links := []weaknet.Link{c.Link}
		for _, m := range c.Mirrors {
			links = append(links, m.link())
		}
		network, err := weaknet.New(links...)
		if err != nil {
			return nil, err
		}
		s.stops = append(s.stops, func() { _ = network.Close() })
		s.user = network.Host(0)
		for i := range places {
			places[i] = network.Host(i + 1)
		}
	}
	for i, m := range c.Mirrors {
		listener, err := places[i].Listen(0)
		if err != nil {
			s.close()
			return nil, err
		}
		reg := origin.Mirror()
		m.prepare(reg, c.TCP)
		url, stop := serveMirror(reg, listener)
		s.stops = append(s.stops, stop)
		s.mirrors = append(s.mirrors, running{Mirror: m, url: url, reg: reg})
	}
	return s, nil
}

// begin starts the clocks of mirrors that give out in the middle of a pull.
func (s *site) begin() {
	for _, m := range s.mirrors {
		if m.HangsAfter == 0 {
			continue
		}
		timer := time.AfterFunc(m.HangsAfter, func() {
			m.reg.Misbehave(registrytest.Hang())
			m.reg.Throttle(1) // what runs stops in the middle of its body
		})
		s.stops = append(s.stops, func() { timer.Stop() })
	}
}

// close ends everything, in the reverse order.
func (s *site) close() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}
