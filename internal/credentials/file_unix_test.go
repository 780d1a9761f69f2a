//go:build unix

package credentials

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestAPipeIsNotWaitedFor(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(s.home, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		find(t, s.store(path), "h", "app")
	}()
	select {
	case <-done:
		s.checkWarned(t, path, "it is not a regular file")
	case <-time.After(5 * time.Second):
		t.Error("it waits for the pipe's other end")
	}
}

func TestADirectoryIsNotAFile(t *testing.T) {
	s := newSite(t)
	find(t, s.store(s.home), "h", "app")
	s.checkWarned(t, s.home, "it is not a regular file")
}

func TestAFileThatMayNotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read every file")
	}
	s := newSite(t)
	path := s.docker(t, auths("h", "u", "p"))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	find(t, s.store(""), "h", "app")
	s.checkWarned(t, path, "permission denied")
}

func TestAHomeThatIsNoDirectory(t *testing.T) {
	s := newSite(t)
	t.Setenv("HOME", os.DevNull)
	find(t, s.store(""), "h", "app")
	s.checkWarned(t, "", "")
}

// Root often has no runtime directory, and podman login writes elsewhere then.
func TestPodmanWithoutARuntimeDirectory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("podman login writes there on Linux alone")
	}
	s := newSite(t)
	path := s.write(t, filepath.Join("run-root", strconv.Itoa(os.Getuid()), "auth.json"), auths("h", "u", "p"))
	if got := find(t, s.store(""), "h", "app"); got.From != path {
		t.Errorf("got %v", got)
	}
}
