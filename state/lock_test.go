package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := Lock(t.Context(), path)
	must(t, err)

	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(ended) })
	if _, err := Lock(ctx, path); !errors.Is(err, ended) {
		t.Errorf("a second lock: %v, want the cause of its context", err)
	}

	time.AfterFunc(20*time.Millisecond, func() { _ = release() })
	again, err := Lock(t.Context(), path)
	must(t, err)
	must(t, again())
}

func TestRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if n := Recorded(path)["sha256:a"]; n != 0 {
		t.Errorf("%d bytes of no directory", n)
	}
	s := open(t, path, []Placement{{"sha256:a", 1 << 20, 0}}, "0")
	must(t, s.Write(0, 5, random(400<<10, 1), 0))
	if n := Recorded(path)["sha256:a"]; n != 400<<10 {
		t.Errorf("%d bytes while it is open, want %d", n, 400<<10)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	part := filepath.Join(Dir(path), s.header.Part)
	must(t, os.Rename(part, moved))
	if n := Recorded(path)["sha256:a"]; n != 0 {
		t.Errorf("%d bytes without the part file", n)
	}
	must(t, os.Rename(moved, part))
	must(t, s.Blob(0).Forget(s.Blob(0).Runs()[0].Range))
	if n := Recorded(path)["sha256:a"]; n != 0 {
		t.Errorf("%d bytes that were forgotten", n)
	}
}
