package lab

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"slices"

	"github.com/segpull/segpull/internal/registrytest"
)

// Serve serves a registry on a listener until stop is called, which also breaks
// off the answers that are being sent.
func Serve(reg *registrytest.Server, listener net.Listener) (url string, stop func()) {
	server := newServer(reg)
	stop = start(reg, server, func() error { return server.Serve(listener) })
	return "http://" + listener.Addr().String(), stop
}

// serveSecure is Serve with TLS 1.3, over which clients may choose HTTP/2.
func serveSecure(reg *registrytest.Server, listener net.Listener, certificate tls.Certificate) (url string, stop func()) {
	server := newServer(reg)
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	stop = start(reg, server, func() error { return server.ServeTLS(listener, "", "") })
	return "https://" + listener.Addr().String(), stop
}

// newServer discards what net/http logs: several faults on one request may make
// it log mistakes.
func newServer(reg *registrytest.Server) *http.Server {
	return &http.Server{Handler: reg, ErrorLog: log.New(io.Discard, "", 0)}
}

// start calls serve, which returns when stop closes the server.
func start(reg *registrytest.Server, server *http.Server, serve func() error) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve()
	}()
	return func() {
		reg.Kill()
		_ = server.Close()
		<-done
	}
}

// Stops stop what was started, the last one first.
type Stops []func()

// Stop calls all of them, and forgets them.
func (s *Stops) Stop() {
	for _, stop := range slices.Backward(*s) {
		stop()
	}
	*s = nil
}

// Keep adds a daemon that has started.
func (s *Stops) Keep(d Daemon, err error) (Daemon, error) {
	if err == nil {
		*s = append(*s, d.Stop)
	}
	return d, err
}
