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

// SIGKILL at random moments, in each phase of a pull. A pull does nothing that
// lasts between two calls of the system, so a moment is the number of the call
// that it is killed before (intercept_linux_test.go): chosen at random among
// those of a phase, however busy the machine. Where it died is known afterwards,
// by what it had said and what is on disk.
//
// Each format is taken through stories: kills while it fetches, and one as soon
// as all is verified; then kills while it verifies what is there, while it
// assembles, and up to its very end, for which a copy of the part directory with
// nothing missing lets it begin again; at last no one kills it.
const (
	fetching   = "fetching"   // mirrors sent something, and it had not verified all
	verifying  = "verifying"  // they sent nothing, as all was there, and it had not verified all
	assembling = "assembling" // it had verified all, and the output did not stand
	renaming   = "renaming"   // the output stood, and it had not come to its end
)

func TestKilledAtAnyMoment(t *testing.T) {
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
	for range 5 {
		if s.die(fresh.resolved+1+rand.IntN(60)) == fetching {
			allowed += mib // of the one connection
		}
		if stands(s.Output) { // it had too little left
			pulltest.Must(t, os.RemoveAll(s.Output))
			allowed += pulltest.BlobsOf(img)
		}
	}
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
	for range 6 {
		s.dieAgain(rest.resolved + 1 + rand.IntN(rest.verified-rest.resolved))
	}
	for range 6 {
		s.dieAgain(rest.verified + 1 + rand.IntN(rest.ended-rest.verified))
	}
	for last := range 7 {
		s.dieAgain(rest.ended - last)
	}
	if again := s.sent() - before; again > 0 {
		t.Errorf("%d bytes were fetched when all was there", again)
	}
	s.restore()
	s.kill = 0
	s.start(t)
	s.check(true)
	pulltest.WantFiles(t, dir, "app")
}

// story is what one output goes through.
type story struct {
	*testing.T
	*pulltest.Mirrors
	watched
	img    registrytest.Image
	right  map[string][]byte // files of the output
	full   string            // a copy of the part directory with nothing missing
	deaths map[string]int    // by phase
}

// sent is how many bytes of layers the mirrors have sent. The config they are
// asked for in each pull, to see which is corrupt.
func (s *story) sent() (n int64) {
	for _, l := range s.img.Layers {
		n += s.Mirrors.SentOf(l)
	}
	return n
}

// die lets the pull die before a call, and returns in which phase that was; ""
// if it came to its end before. There is no output then, or the right one.
func (s *story) die(call int) (phase string) {
	s.Helper()
	s.kill = call
	before := s.sent()
	switch r := s.start(s.T); {
	case r.ended > 0:
	case stands(s.Output):
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
	s.check(stands(s.Output))
	return phase
}

// dieAgain is die for a pull that has nothing left to fetch.
func (s *story) dieAgain(call int) {
	s.Helper()
	if stands(s.Output) {
		s.restore()
	}
	s.die(call)
}

// restore goes back to where nothing was missing.
func (s *story) restore() {
	s.Helper()
	pulltest.Must(s.T, os.RemoveAll(s.Output))
	pulltest.Must(s.T, os.RemoveAll(s.Output+".segpull"))
	pulltest.Must(s.T, os.CopyFS(s.Output+".segpull", os.DirFS(s.full)))
}

// check compares what is at the output with what belongs there: all of it, or
// if it does not stand, the files of a layout that is not one yet.
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

// stands reports whether there is an output: an archive, or a layout's index.
func stands(out string) bool {
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

// serveClosely is serve by a mirror whose kernel holds little for a client: what
// it holds when the client dies counts as sent.
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

// memory is a temporary directory, in memory where there is one such: a kill,
// unlike a loss of power, has no regard for what is synced.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "segpull-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
