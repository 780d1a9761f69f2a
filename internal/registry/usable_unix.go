//go:build unix

package registry

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// usable reports whether the other end has neither closed an unused connection
// nor, without TLS, sent something: net/http would fail the request that it gives
// the connection to, and not send it on another.
func usable(conn net.Conn) bool {
	under, secure := conn, false
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // of crypto/tls
		under, secure = t.NetConn(), true
	}
	s, ok := under.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) (done bool) {
		var p [1]byte
		n, _, err := unix.Recvfrom(int(fd), p[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = err == unix.EAGAIN || err == nil && n > 0 && secure // session tickets come unasked
		return true
	})
	return err == nil && open
}
