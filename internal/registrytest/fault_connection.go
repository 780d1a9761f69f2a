package registrytest

import (
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CutAfter closes each connection after n bytes of bodies, in one response or in
// several. The client's address identifies a connection.
func CutAfter(n int64) Fault { return CutBetween(n, n) }

// CutBetween closes each connection after a number of bytes from lo to hi,
// another for each connection.
func CutBetween(lo, hi int64) Fault { return cutting(lo, hi, closeConnection) }

// ResetAfter does the same as CutAfter, with a TCP reset: bytes in transit may be lost.
func ResetAfter(n int64) Fault { return cutting(n, n, resetConnection) }

// Truncate ends each response after n bytes of its body, by closing the
// connection.
func Truncate(n int64) Fault {
	return through(func(w http.ResponseWriter, _ *http.Request) *hooked {
		left := n
		return &hooked{body: func(p []byte) (int, error) {
			m, err := w.Write(p[:min(int64(len(p)), left)])
			if left -= int64(m); left == 0 {
				closeConnection(w)
			}
			return m, err
		}}
	})
}

// StallAfter sends n bytes of each body, then nothing, and leaves the
// connection open.
func StallAfter(n int64) Fault { return PauseAfter(n, forever) }

// PauseAfter sends n bytes of each body, nothing for d, and then the rest.
func PauseAfter(n int64, d time.Duration) Fault {
	return through(func(w http.ResponseWriter, r *http.Request) *hooked {
		left, paused := n, false
		return &hooked{body: func(p []byte) (int, error) {
			if paused || int64(len(p)) < left {
				left -= int64(len(p))
				return w.Write(p)
			}
			m, err := w.Write(p[:left])
			if err != nil {
				return m, err
			}
			paused = true
			flush(w)
			pause(r.Context(), d)
			rest, err := w.Write(p[m:])
			return m + rest, err
		}}
	})
}

// Trickle sends each body at some bytes per second.
func Trickle(bytesPerSecond int64) Fault {
	return through(func(w http.ResponseWriter, r *http.Request) *hooked {
		var rate atomic.Int64
		rate.Store(bytesPerSecond)
		link := &pacer{rate: &rate}
		link.join()
		return &hooked{body: func(p []byte) (int, error) {
			return writeSlowly(r.Context(), link, w, p)
		}}
	})
}

func writeSlowly(ctx context.Context, link *pacer, w http.ResponseWriter, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := link.quantum(len(p) - done)
		link.wait(ctx, n)
		n, err := w.Write(p[done : done+n])
		done += n
		if err != nil {
			return done, err
		}
		flush(w)
	}
	return done, nil
}

// Hang never answers, and leaves the connection open.
func Hang() Fault { return Latency(forever).On(KindBlob, KindCDN) }

// Latency waits before each answer, to requests of every kind.
func Latency(d time.Duration) Fault {
	return before(func(_ http.ResponseWriter, r *http.Request) bool {
		pause(r.Context(), d)
		return true
	}).On()
}

// FirstByteDelay waits before the first byte: some time for each requested MiB.
func FirstByteDelay(perMiB time.Duration) Fault {
	return before(func(_ http.ResponseWriter, r *http.Request) bool {
		start, end, _ := parseRange(r, exchangeOf(r).blob.Size)
		pause(r.Context(), time.Duration(float64(perMiB)*float64(end-start)/(1<<20)))
		return true
	})
}

// Endless sends bytes after the end of the body, for as long as the client
// reads.
func Endless() Fault {
	return through(func(w http.ResponseWriter, r *http.Request) *hooked {
		zeros := make([]byte, 32<<10)
		return &hooked{header: dropLength, end: func() {
			for {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		}}
	})
}

// EndlessHeaders sends header lines of 1 KiB for as long as the client reads,
// one after each pause.
func EndlessHeaders(between time.Duration) Fault {
	return Raw("HTTP/1.1 200 OK\r\n", "X-Endless: "+strings.Repeat("x", 1<<10)+"\r\n", between)
}

// Raw writes head to the connection, whether it is HTTP or not, and then again after
// each pause for as long as the client reads. If again is "", it closes the
// connection.
func Raw(head, again string, between time.Duration) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		conn, ok := hijack(w)
		if !ok {
			return
		}
		defer conn.Close()
		stop := context.AfterFunc(r.Context(), func() { _ = conn.Close() })
		defer stop()
		_, err := io.WriteString(conn, head)
		for err == nil && again != "" {
			pause(r.Context(), between)
			_, err = io.WriteString(conn, again)
		}
	})
}

// cutting counts the bytes of each connection, by the client's address.
func cutting(lo, hi int64, cut func(http.ResponseWriter)) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		fuses := &fuses{lo: lo, hi: hi, left: map[string]int64{}, dice: rand.New(rand.NewPCG(3, 4))}
		return through(func(w http.ResponseWriter, r *http.Request) *hooked {
			return &hooked{body: func(p []byte) (int, error) {
				n, burnt := fuses.burn(r.RemoteAddr, len(p))
				n, err := w.Write(p[:n])
				if burnt {
					cut(w)
				}
				return n, err
			}}
		}).wrap(next)
	})
}

type fuses struct {
	mu     sync.Mutex
	lo, hi int64
	left   map[string]int64
	dice   *rand.Rand
}

// burn takes up to n bytes of a connection's allowance, and reports whether nothing of
// it is left.
func (f *fuses) burn(remote string, n int) (int, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left, ok := f.left[remote]
	if !ok {
		left = f.lo + f.dice.Int64N(f.hi-f.lo+1)
	}
	if int64(n) < left {
		f.left[remote] = left - int64(n)
		return n, false
	}
	delete(f.left, remote)
	return int(left), true
}

func closeConnection(w http.ResponseWriter) {
	flush(w)
	panic(http.ErrAbortHandler)
}

func resetConnection(w http.ResponseWriter) {
	if conn, ok := hijack(w); ok {
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // close(2) then sends RST
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// hijack takes the connection from the HTTP server, which is possible only with
// HTTP/1.1.
func hijack(w http.ResponseWriter) (net.Conn, bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	return conn, err == nil
}
