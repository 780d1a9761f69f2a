package weaknet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/segpull/segpull/bench/weaknet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network skips the test where there may be no namespaces.
func network(t *testing.T, links ...weaknet.Link) *weaknet.Network {
	t.Helper()
	n, err := weaknet.New(links...)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		t.Skipf("no network namespaces here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestRateAndDelay fetches half a MiB over 1 MiB/s and a round trip of 60 ms
// with a process of the one host from a server on the other.
func TestRateAndDelay(t *testing.T) {
	n := network(t, weaknet.Link{}, weaknet.Link{Up: 1 << 20, Delay: 30 * time.Millisecond})
	listener, err := n.Host(1).Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var congestion string
	served := make(chan struct{})
	go func() {
		defer close(served)
		congestion = serve(listener, 512<<10)
	}()

	start := time.Now()
	script := `exec 3<>/dev/tcp/$0/$1; wc -c <&3`
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	cmd := exec.Command("bash", "-c", script, host, port)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := n.Host(0).Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != "524288" {
		t.Errorf("the process got %q bytes, want 524288", got)
	}
	took := time.Since(start)
	if got := n.Host(0).Received(); got < 512<<10 || got > 600<<10 {
		t.Errorf("the host received %d bytes of payload, want 512 KiB and some that were sent again", got)
	}
	<-served
	if congestion != "cubic" {
		t.Errorf("congestion control is %q, want cubic", congestion)
	}
	if took < 540*time.Millisecond || took > 1500*time.Millisecond {
		t.Errorf("took %v; 512 KiB at 1 MiB/s and 60 ms should take about 0.6 s", took)
	}
}

// serve sends some bytes to the first who comes, and returns the congestion
// control it did that with.
func serve(listener net.Listener, size int64) (congestion string) {
	conn, err := listener.Accept()
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	_ = raw.Control(func(fd uintptr) {
		congestion, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	})
	_, _ = io.CopyN(conn, zeros{}, size)
	return congestion
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
