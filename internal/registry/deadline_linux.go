package registry

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged is how long the other end may leave bytes unacknowledged, or
// probes unanswered, until the connection counts as dead: a machine that was
// asleep or has changed its network gets no notice. Without it, Linux tries for
// about 15 minutes (tcp(7), TCP_USER_TIMEOUT).
const unacknowledged = time.Minute

func userTimeout(_, _ string, conn syscall.RawConn) (err error) {
	if outer := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
	}); outer != nil {
		return outer
	}
	return err
}
