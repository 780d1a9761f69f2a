package soak

import (
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestSignalsAreInOrder(t *testing.T) {
	run := attempt{cause: interrupt, after: 3 * time.Second, pausedAt: time.Second, paused: time.Second}
	var order []syscall.Signal
	for _, next := range run.signals() {
		order = append(order, next.signal)
	}
	if want := []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGINT, syscall.SIGQUIT}; !slices.Equal(order, want) {
		t.Errorf("the signals are %v, want %v", order, want)
	}
}

func TestExecute(t *testing.T) {
	open := func() int { return 3 }
	e, err := execute(t.Context(), attempt{cause: kill, after: 50 * time.Millisecond}, exec.Command("sleep", "60"), open)
	if err != nil || e.Exit != -1 || e.signalled.IsZero() || e.open != 3 {
		t.Errorf("killed: %+v, %v", e, err)
	}
	e, err = execute(t.Context(), attempt{cause: kill, after: time.Minute, progress: "json"}, exec.Command("sh", "-c", `echo '{"event":"progress","done":7}' >&2; exit 6`), open)
	if err != nil || e.Exit != 6 || !e.signalled.IsZero() || len(e.events) != 1 || e.events[0].Done != 7 {
		t.Errorf("ended before the kill: %+v, %v", e, err)
	}
}
