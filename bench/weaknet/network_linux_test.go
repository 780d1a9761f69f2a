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
	t.Parallel()
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
	if got := read(t, n.Host(0), listener, "wc -c <&3"); got != "524288" {
		t.Errorf("the process got %q bytes, want 524288", got)
	}
	took := time.Since(start)
	if got := n.Host(0).Received(); got.Payload != 512<<10 {
		t.Errorf("the host received %+v, want 512 KiB of payload", got)
	}
	<-served
	if congestion != "cubic" {
		t.Errorf("congestion control is %q, want cubic", congestion)
	}
	if took < 540*time.Millisecond || took > 1500*time.Millisecond {
		t.Errorf("took %v; 512 KiB at 1 MiB/s and 60 ms should take about 0.6 s", took)
	}
}

// TestLossIsNotCounted counts each byte once, however often a link loses it.
func TestLossIsNotCounted(t *testing.T) {
	t.Parallel()
	const size = 512 << 10
	n := network(t, weaknet.Link{Loss: 0.02}, weaknet.Link{Up: 4 << 20, Delay: 5 * time.Millisecond, Loss: 0.02})
	listener, err := n.Host(1).Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go serve(listener, size)
	if got := read(t, n.Host(0), listener, "wc -c <&3"); got != "524288" {
		t.Errorf("the process got %q bytes, want 524288", got)
	}
	n.Settle(time.Second)
	if got := n.Host(0).Received(); got.Payload != size || got.Repeated > size/20 {
		t.Errorf("the host received %+v, want %d bytes of payload and few again", got, size)
	}
	if got := n.Host(1).Received(); got != (weaknet.Traffic{}) {
		t.Errorf("the server received %+v, want nothing", got)
	}
}

// TestSettle counts what arrives for a connection after its process has ended.
func TestSettle(t *testing.T) {
	t.Parallel()
	const rate = 1 << 20
	n := network(t, weaknet.Link{Delay: 100 * time.Millisecond}, weaknet.Link{Up: rate})
	listener, err := n.Host(1).Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(listener, 1<<30)
	}()
	read(t, n.Host(0), listener, "head -c 300000 <&3 | wc -c")
	atEnd := n.Host(0).Received().Payload
	n.Settle(5 * time.Second)
	<-served // the server has seen that the client is gone
	settled := n.Host(0).Received().Payload
	// One round trip passes until the server knows.
	if late := settled - atEnd; late < rate/20 || late > rate/2 {
		t.Errorf("%d bytes arrived after the end, want those of about 200 ms at %d a second", late, rate)
	}
	time.Sleep(100 * time.Millisecond)
	if now := n.Host(0).Received().Payload; now != settled {
		t.Errorf("%d bytes arrived after the network had settled", now-settled)
	}
}

// read lets a shell on a host connect to a listener and run a script that reads
// from descriptor 3. It returns what that writes.
func read(t *testing.T, at *weaknet.Host, from net.Listener, script string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(from.Addr().String())
	cmd := exec.Command("bash", "-c", "exec 3<>/dev/tcp/$0/$1; "+script, host, port)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := at.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
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
