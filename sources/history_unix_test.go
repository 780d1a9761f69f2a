//go:build unix

package sources

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestAHistoryThatIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirrors.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if got := LoadHistory(path); len(got) != 0 {
			t.Errorf("loaded %+v", got)
		}
		if err := (History{"b": {Seen: time.Now()}}).Save(path); err != nil || len(LoadHistory(path)) != 1 {
			t.Errorf("not written again: %v", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("it waits for the pipe's other end")
	}
}
