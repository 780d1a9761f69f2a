package lab

import (
	"fmt"
	"net"
	"time"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/weaknet"
	"github.com/segpull/segpull/internal/registrytest"
)

// site is a case's network and mirrors while they run.
type site struct {
	user    program.Place
	network *weaknet.Network // nil on loopback
	mirrors []server
	stops   Stops
}

// server is a mirror that serves.
type server struct {
	Mirror
	url string               // http://host:port, or https
	reg *registrytest.Server // nil if it is a real server
}

// setUp serves an image from the case's mirrors.
func setUp(c Case, i *image) (*site, error) {
	s := &site{}
	places, err := s.connect(c)
	if err != nil {
		return nil, err
	}
	for n, m := range c.Mirrors {
		serve := s.serveTest
		if c.Server != "" {
			serve = s.serveReal
		}
		r, err := serve(places[n], c, m, i)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("mirror %s: %w", m.Name, err)
		}
		s.mirrors = append(s.mirrors, r)
	}
	return s, nil
}

// connect makes the network, and returns the mirrors' places on it.
func (s *site) connect(c Case) ([]program.Place, error) {
	places := make([]program.Place, len(c.Mirrors))
	if !c.TCP {
		s.user = program.Loopback{}
		for i := range places {
			places[i] = program.Loopback{}
		}
		return places, nil
	}
	links := []weaknet.Link{c.Link}
	for _, m := range c.Mirrors {
		links = append(links, m.link())
	}
	network, err := weaknet.New(links...)
	if err != nil {
		return nil, err
	}
	s.network = network
	s.stops = append(s.stops, func() { _ = network.Close() })
	s.user = network.Host(0)
	for i := range places {
		places[i] = network.Host(i + 1)
	}
	return places, nil
}

func (s *site) serveTest(at program.Place, c Case, m Mirror, i *image) (server, error) {
	listener, err := at.Listen(0)
	if err != nil {
		return server{}, err
	}
	reg := i.origin.Mirror()
	if c.Secure {
		return s.serveSecure(at, c, m, i, reg, listener)
	}
	m.prepare(reg, c.TCP)
	url, stop := Serve(reg, listener)
	s.stops = append(s.stops, stop)
	return server{Mirror: m, url: url, reg: reg}, nil
}

// serveSecure serves a registry over TLS, and its token service at an address of
// its own, as Docker Hub's is.
func (s *site) serveSecure(at program.Place, c Case, m Mirror, i *image, reg *registrytest.Server, listener net.Listener) (server, error) {
	host, _, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return server{}, err
	}
	certificate, err := i.authority.keyPair(host)
	if err != nil {
		return server{}, err
	}
	tokens, err := at.Listen(0)
	if err != nil {
		return server{}, err
	}
	service, stopTokens := serveSecure(reg, tokens, certificate)
	url, stop := serveSecure(reg, listener, certificate)
	s.stops = append(s.stops, stopTokens, stop)
	m.prepare(reg, c.TCP, registrytest.Bearer(registrytest.Auth{Realm: service + "/token"}))
	return server{Mirror: m, url: url, reg: reg}, nil
}

func (s *site) serveReal(at program.Place, c Case, m Mirror, i *image) (server, error) {
	registry := Registry{Dir: i.storage}
	if c.Server == cdn {
		files, err := serveCDN(at, registry, i.authority)
		if err != nil {
			return server{}, err
		}
		s.stops = append(s.stops, files.Stop)
		registry.Redirect = files.URL
	}
	daemon, err := ServeRegistry(at, registry)
	if err != nil {
		return server{}, err
	}
	s.stops = append(s.stops, daemon.Stop)
	return server{Mirror: m, url: daemon.URL}, nil
}

// begin starts the timers of mirrors that hang in the middle of a pull.
func (s *site) begin() {
	for _, m := range s.mirrors {
		if m.HangsAfter == 0 {
			continue
		}
		timer := time.AfterFunc(m.HangsAfter, func() {
			m.reg.Misbehave(registrytest.Hang())
			m.reg.Throttle(1) // stops the answers that are being sent
		})
		s.stops = append(s.stops, func() { timer.Stop() })
	}
}

// settleTime is the most time that packets may be on their way after a tool
// has ended.
const settleTime = 3 * time.Second

// wire is what the user's link has forwarded since the start, with what still
// comes for connections that the tool left open; nothing on loopback.
func (s *site) wire() weaknet.Traffic {
	if s.network == nil {
		return weaknet.Traffic{}
	}
	s.network.Settle(settleTime)
	return s.network.Host(0).Received()
}

// close ends everything, in the reverse order.
func (s *site) close() {
	s.stops.Stop()
}
