package main

import (
	"io"
	"log"
	"net"
	"net/http"

	"github.com/segpull/segpull/internal/registrytest"
)

// serveMirror serves a registry on a listener until stop is called, which also
// cuts what is still being answered.
func serveMirror(reg *registrytest.Server, listener net.Listener) (url string, stop func()) {
	// Faults that fall on one request together are of no concern to anybody.
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
