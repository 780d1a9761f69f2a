//go:build unix

package credentials

import (
	"os"
	"path/filepath"
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
