package crashtest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// SIGKILL at random moments in each phase of a pull. Between two system calls, a pull
// does nothing that lasts, so a moment is the number of the call before which it is
// killed (intercept_linux_test.go): a random one of the calls of a phase, however busy
// the machine is. The report of the pull and the files on disk show the phase afterwards.
//
// Each format has several stories: kills while the pull fetches, and one when all is
// verified; then kills while it verifies, while it assembles, and until its end, each
// from a copy of the complete part directory; at last the pull runs to its end.
const (
	fetching   = "fetching"   // the mirrors sent bytes, and not all were verified
	verifying  = "verifying"  // all bytes were on disk, and not all were verified
	assembling = "assembling" // all bytes were verified, and there was no output
	renaming   = "renaming"   // the output existed, and the pull had not ended
)

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib, 2*mib)
	var kills atomic.Int64
	t.Cleanup(func() {
		if n := kills.Load(); n < 200 && !t.Failed() {
			t.Errorf("only %d kills", n)
		}
	})
	for _, format := range []string{"docker-archive", "legacy", "oci"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			deaths := make(map[string]int)
			for range 3 {
				tellStory(t, img, format, deaths)
			}
			t.Logf("deaths: %v", deaths)
			for _, phase := range []string{fetching, verifying, assembling, renaming} {
				if deaths[phase] < 3 {
					t.Errorf("only %d died %s", deaths[phase], phase)
				}
				kills.Add(int64(deaths[phase]))
			}
		})
	}
}

func tellStory(t *testing.T, img registrytest.Image, format string, deaths map[string]int) {
	dir, m := memory(t), serveClosely(t, img)
	s := &story{T: t, Mirrors: m, img: img, deaths: deaths, full: filepath.Join(memory(t), "full")}
	s.watched = watched{Mirrors: m.URLs, Output: filepath.Join(dir, "app"), Format: format}
	fresh := s.start(t)
	s.right = files(t, s.Output)
	pulltest.Must(t, os.RemoveAll(s.Output))

	before, allowed := s.sent(), pulltest.BlobsOf(img)
	s.untilDead(5, func(int) string {
		phase := s.die(fresh.resolved + 1 + rand.IntN(60))
		if phase == fetching {
			allowed += mib // of the one connection
		}
		if exists(s.Output) { // there was too little left to fetch
			pulltest.Must(t, os.RemoveAll(s.Output))
			allowed += pulltest.BlobsOf(img)
		}
		return phase
	})
	s.killAtEnd = true
	s.die(0)
	s.killAtEnd = false
	if fetched := s.sent() - before; fetched > allowed {
		t.Errorf("%d bytes were fetched, %d more than there are", fetched, fetched-pulltest.BlobsOf(img))
	}

	before = s.sent()
	pulltest.Must(t, os.CopyFS(s.full, os.DirFS(s.Output+".segpull")))
	s.kill = 0
	rest := s.start(t)
	s.untilDead(6, func(int) string {
		return s.dieAgain(rest.resolved + 1 + rand.IntN(rest.verified-rest.resolved))
	})
	s.untilDead(6, func(int) string {
		return s.dieAgain(rest.verified + 1 + rand.IntN(rest.ended-rest.verified))
	})
	s.untilDead(7, func(try int) string { return s.dieAgain(rest.ended - try) })
	if again := s.sent() - before; again > 0 {
		t.Errorf("%d bytes were fetched when all was there", again)
	}
	s.restore()
	s.kill = 0
	s.start(t)
	s.check(true)
	pulltest.WantFiles(t, dir, "app")
}

// story is the history of one output.
type story struct {
	*testing.T
	*pulltest.Mirrors
	watched
	img    registrytest.Image
	right  map[string][]byte // files of the output
	full   string            // a copy of the complete part directory
	deaths map[string]int    // by phase
}

// sent returns how many bytes of layers the mirrors have sent. Each pull requests the
// config from all of them, to find corrupt ones.
func (s *story) sent() (n int64) {
	for _, l := range s.img.Layers {
		n += s.Mirrors.SentOf(l)
	}
	return n
}

// die kills the pull before a call, and returns the phase of that moment, or "" if the
// pull ended before. It checks that there is no output, or the right one.
func (s *story) die(call int) (phase string) {
	s.Helper()
	s.kill = call
	before := s.sent()
	r := s.start(s.T)
	s.UntilIdle(s.T) // a mirror may still be sending to the one that was killed
	switch {
	case r.ended > 0:
	case exists(s.Output):
		phase = renaming
	case r.verified > 0:
		phase = assembling
	case r.resolved > 0 && s.sent() > before:
		phase = fetching
	case r.resolved > 0:
		phase = verifying
	}
	if phase != "" {
		s.deaths[phase]++
	}
	s.check(exists(s.Output))
	return phase
}

// dieAgain does the same for a pull that has all bytes.
func (s *story) dieAgain(call int) (phase string) {
	s.Helper()
	if exists(s.Output) {
		s.restore()
	}
	return s.die(call)
}

// untilDead tries until n pulls were killed: a pull makes a few calls more or less than the
// one that was counted, and may end before the call that was to kill it.
func (s *story) untilDead(n int, try func(i int) (phase string)) {
	s.Helper()
	for i := range 10 * n {
		if try(i) != "" {
			n--
		}
		if n == 0 {
			return
		}
	}
	s.Errorf("%d kills too few", n)
}

// restore restores the complete part directory.
func (s *story) restore() {
	s.Helper()
	pulltest.Must(s.T, os.RemoveAll(s.Output))
	pulltest.Must(s.T, os.RemoveAll(s.Output+".segpull"))
	pulltest.Must(s.T, os.CopyFS(s.Output+".segpull", os.DirFS(s.full)))
}

// check compares the output with the expected files: with all of them or, if the output
// is not complete, the files of a layout that exist so far.
func (s *story) check(all bool) {
	s.Helper()
	got := files(s.T, s.Output)
	for name, content := range got {
		if !strings.Contains(name, "/.segpull-") && !bytes.Equal(content, s.right[name]) {
			s.Errorf("%s%s is wrong", s.Output, name)
		}
	}
	for name := range s.right {
		if all && got[name] == nil {
			s.Errorf("%s%s is missing", s.Output, name)
		}
	}
}

// exists reports whether there is an output: an archive, or a layout's index.
func exists(out string) bool {
	info, err := os.Lstat(out)
	if err == nil && info.IsDir() {
		_, err = os.Lstat(filepath.Join(out, "index.json"))
	}
	return err == nil
}

// files returns what is at a path, a file or a directory, by name.
func files(t *testing.T, path string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !d.IsDir() {
			all[strings.TrimPrefix(name, path)], err = os.ReadFile(name)
		}
		return err
	})
	pulltest.Must(t, err)
	return all
}

// serveClosely starts a mirror with small socket buffers: the bytes in them count as sent
// when the client is killed.
func serveClosely(t *testing.T, img registrytest.Image) *pulltest.Mirrors {
	s := registrytest.New()
	s.Push(repo, "1", img)
	s.Throttle(60 * mib)
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew {
			_ = tcp.SetWriteBuffer(64 << 10)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return &pulltest.Mirrors{Servers: []*registrytest.Server{s}, URLs: []string{server.URL}}
}

// memory returns a temporary directory, in memory if possible: after a kill, unlike after
// a loss of power, it does not matter what is synced.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "segpull-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
