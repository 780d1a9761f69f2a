package fleet

import (
	"context"
	"net"
	"time"

	"golang.org/x/time/rate"
)

const (
	// unread is how many bytes the kernel keeps for a connection that its node has not
	// read. Without a bound it would keep megabytes, as if the link were faster.
	unread = 128 << 10
	// credit is how much of a link's time a node may use later than it was there: timers
	// and a busy machine wake a reader late, which must not make the link slower.
	credit = 20 * time.Millisecond
)

// link is a node's line: its connections together receive no more than a rate.
type link struct {
	limit   *rate.Limiter
	quantum int // most bytes of a read
}

// newLink returns a link of some bytes a second.
func newLink(bytesPerSecond float64) *link {
	burst := max(2, int(bytesPerSecond*credit.Seconds()))
	return &link{rate.NewLimiter(rate.Limit(bytesPerSecond), burst), burst / 2}
}

// dial opens a connection over the link.
func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := clamp(tcp, unread); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return l.over(conn), nil
}

// over returns conn with the link's rate.
func (l *link) over(conn net.Conn) net.Conn {
	closing, stop := context.WithCancel(context.Background())
	return &linkConn{conn, l, closing.Done(), stop}
}

// linkConn is a connection over a link. Close ends a Read that waits.
type linkConn struct {
	net.Conn
	link   *link
	closed <-chan struct{}
	stop   func()
}

// Read returns bytes when the link has carried them.
func (c *linkConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.link.quantum)])
	if n == 0 {
		return n, err
	}
	select {
	case <-time.After(c.link.limit.ReserveN(time.Now(), n).Delay()):
		return n, err
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *linkConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
