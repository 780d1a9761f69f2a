package main

import (
	"net"
	"net/http"

	"github.com/segpull/segpull/internal/registrytest"
)

// serveMirror serves a registry on a listener until stop is called, which also
// cuts what is still being answered.
func serveMirror(reg *registrytest.Server, listener net.Listener) (url string, stop func()) {
	server := &http.Server{Handler: reg}
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
