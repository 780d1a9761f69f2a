package fleet

import (
	"net"

	"golang.org/x/sys/unix"
)

// clamp bounds the window that a connection offers, tcp(7). A smaller buffer would have
// the same effect, but lose packets: those of loopback have 64 KiB.
func clamp(conn *net.TCPConn, bytes int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, bytes)
	})
	if err != nil {
		return err
	}
	return failed
}
