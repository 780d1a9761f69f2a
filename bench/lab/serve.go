package lab

import (
	"io"
	"log"
	"net"
	"net/http"

	"github.com/segpull/segpull/internal/registrytest"
)

// Serve serves a registry on a listener until stop is called, which also breaks
// off the answers that are being sent.
func Serve(reg *registrytest.Server, listener net.Listener) (url string, stop func()) {
	// Several faults on one request may make net/http log mistakes.
	server := &http.Server{Handler: reg, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // returns when stop closes it
	}()
	return "http://" + listener.Addr().String(), func() {
		reg.Kill()
		_ = server.Close()
		<-done
	}
}
