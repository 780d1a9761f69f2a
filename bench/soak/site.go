package soak

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// site is a round's mirrors while they serve.
type site struct {
	running []server
	stops   lab.Stops
}

type server struct {
	*mirror
	url string
	reg *registrytest.Server
	cdn *registrytest.Server // nil: none
}

const repository = "library/soak"

// serve serves the round's mirrors until close.
func serve(r round) (*site, error) {
	s := &site{}
	origin := registrytest.New()
	origin.Push(repository, "1", r.image.pushed)
	for _, m := range r.mirrors {
		server := server{mirror: m}
		faults := slices.Clip(m.faults)
		if len(m.lacks) > 0 {
			faults = append(faults, registrytest.Status(404).Of(m.lacks...))
		}
		if m.redirects > 0 {
			var err error
			var url string
			if server.cdn, url, err = s.serve(origin, m, faults); err != nil {
				return s, err
			}
			faults = append(faults, registrytest.SignedRedirect(url, m.redirects))
		}
		var err error
		if server.reg, server.url, err = s.serve(origin, m, faults); err != nil {
			return s, err
		}
		if m.outage > 0 {
			s.stops = append(s.stops, outages(server.reg, m.outage))
		}
		s.running = append(s.running, server)
	}
	return s, nil
}

func (s *site) serve(origin *registrytest.Server, m *mirror, faults []registrytest.Fault) (reg *registrytest.Server, url string, err error) {
	listener, err := program.Loopback{}.Listen(0)
	if err != nil {
		return nil, "", err
	}
	reg = origin.Mirror()
	reg.Throttle(m.rate)
	reg.ThrottleConnections(m.connection)
	reg.Misbehave(faults...)
	url, stop := lab.Serve(reg, shortBuffers{listener})
	s.stops = append(s.stops, stop)
	return reg, url, nil
}

// shortBuffers limits how much the kernel buffers for a client that does not
// read, so that the bytes served and the bytes received are nearly the same.
type shortBuffers struct{ net.Listener }

func (l shortBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(32 << 10)
	}
	return conn, err
}

// outages makes a server repeatedly dead for a while.
func outages(reg *registrytest.Server, outage time.Duration) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-over:
			return false
		}
	}
	go func() {
		defer close(done)
		for wait(2*outage + time.Second) {
			reg.Kill()
			alive := wait(outage)
			reg.Revive()
			if !alive {
				return
			}
		}
	}()
	return func() { close(over); <-done }
}

func (s *site) close() { s.stops.Stop() }

// configure writes the files of a user: a configuration that names the mirrors,
// and credentials for those that require them.
func (s *site) configure(home string) error {
	var config strings.Builder
	logins := map[string]any{}
	for _, m := range s.running {
		fmt.Fprintf(&config, "[mirror.%s]\nurl = %q\n", m.name, m.url)
		if m.secret != "" {
			fmt.Fprintf(&config, "headers = { X-Soak = %q }\n", m.secret)
		}
		if m.user != "" {
			logins[strings.TrimPrefix(m.url, "http://")] = map[string]string{"auth": m.login()}
		}
	}
	docker, err := json.Marshal(map[string]any{"auths": logins})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "config.json"), docker, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, "soak.toml"), []byte(config.String()), 0o600)
}

// login is the user's name and password in the form of Docker's file and HTTP.
func (m *mirror) login() string {
	return base64.StdEncoding.EncodeToString([]byte(m.user + ":" + m.password))
}

// secrets are what only this mirror may receive.
func (m *mirror) secrets() (all []string) {
	if m.user != "" {
		all = append(all, m.password, m.login())
	}
	if m.secret != "" {
		all = append(all, m.secret)
	}
	return all
}

// logs calls each with the requests of each server.
func (s *site) logs(each func(m *mirror, cdn bool, log []registrytest.Request)) {
	for _, m := range s.running {
		each(m.mirror, false, m.reg.Stats().Log)
		if m.cdn != nil {
			each(m.mirror, true, m.cdn.Stats().Log)
		}
	}
}

// traffic is how many bytes of blobs the mirrors sent, and how many responses
// were broken off.
func (s *site) traffic() (served int64, broken int) {
	s.logs(func(_ *mirror, _ bool, log []registrytest.Request) {
		for _, r := range log {
			if r.Kind != registrytest.KindBlob && r.Kind != registrytest.KindCDN || r.Status != 200 && r.Status != 206 {
				continue
			}
			requested := r.End - r.Start
			if r.Status == 206 {
				r.Bytes = min(r.Bytes, requested) // a body without end fills the buffers before it is closed
			}
			served += r.Bytes
			if r.Bytes < requested {
				broken++
			}
		}
	})
	return served, broken
}

// open is how many responses with blobs are being sent.
func (s *site) open() (n int) {
	s.logs(func(_ *mirror, _ bool, log []registrytest.Request) {
		for _, r := range log {
			if r.Done.IsZero() && (r.Kind == registrytest.KindBlob || r.Kind == registrytest.KindCDN) {
				n++
			}
		}
	})
	return n
}
