package realtest

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// activated is a segpull serve with a socket that is open while it is restarted, as that of
// systemd's socket unit.
type activated struct {
	server
	socket *os.File
}

func newActivated(t *testing.T, h home, mirrors []string) *activated {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := at.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	at.Close()
	t.Cleanup(func() { socket.Close() })
	s := &activated{server{home: h, address: at.Addr().String()}, socket}
	s.prepare(t, mirrors)
	s.start(t)
	return s
}

func (s *activated) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary}, s.args...)...)
	s.cmd.Dir, s.cmd.Env = s.home.dir, append(s.home.env, "LISTEN_FDS=1")
	s.cmd.ExtraFiles, s.cmd.Stderr = []*os.File{s.socket}, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
}

// restart does what systemctl restart does.
func (s *activated) restart(t *testing.T) {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.start(t)
}

// A pull goes on while the server is restarted in the middle of a layer, with clients that ask
// for the rest of a layer.
func TestPullsGoOnOverARestart(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{32 * mib, 4 * mib}})
	first, second, _ := startMirrors(t, img)
	for _, about := range []string{"docker", "containerd by ctr", "containerd 2 by ctr"} {
		t.Run(about, func(t *testing.T) {
			a, b := newGauge(t, first), newGauge(t, second)
			a.limit.SetLimit(2 * mib)
			b.limit.SetLimit(2 * mib)
			s := newActivated(t, newHome(t), []string{a.url, b.url})
			e := engines[about](t, s.home, s.address)
			pulled := make(chan error, 1)
			go func() { pulled <- e.pull(t) }()
			for a.served.Load()+b.served.Load() < 10*mib {
				select {
				case err := <-pulled:
					t.Fatalf("the pull ended before the restart: %v", err)
				case <-time.After(10 * time.Millisecond):
				}
			}
			s.restart(t)
			if served := a.served.Load() + b.served.Load(); served > 32*mib {
				t.Fatalf("the mirrors have sent %d bytes before the server was restarted", served)
			}
			if err := <-pulled; err != nil {
				t.Fatal(err)
			}
			e.check(t, img)
			if twice := a.served.Load() + b.served.Load() - totalSize(img); twice > 8*mib {
				t.Errorf("%d bytes came twice", twice)
			}
		})
	}
}
