package program

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
)

func shell(t *testing.T, script string, limit time.Duration) Usage {
	t.Helper()
	u, err := Measure(t.Context(), Loopback{}, exec.Command("sh", "-c", script), 0, limit)
	if err != nil {
		needs.Lack(t, err.Error())
	}
	return u
}

func TestMeasure(t *testing.T) {
	t.Run("success leaves no message", func(t *testing.T) {
		u := shell(t, "echo words >&2; sleep 0.1", time.Minute)
		if u.Exit != 0 || u.Err != "" || u.Wall < 100*time.Millisecond {
			t.Errorf("usage is %+v", u)
		}
	})
	t.Run("a failure keeps the last line", func(t *testing.T) {
		u := shell(t, "echo first >&2; echo connection reset >&2; echo >&2; exit 7", time.Minute)
		if u.Exit != 7 || u.Err != "connection reset" {
			t.Errorf("usage is %+v, want exit 7 and the last line", u)
		}
	})
	t.Run("the limit ends children too", func(t *testing.T) {
		u := shell(t, "sleep 60 & wait", 300*time.Millisecond)
		if u.Wall > 10*time.Second || u.Exit != -1 || !strings.Contains(u.Err, "given up") {
			t.Errorf("usage is %+v, want an end after 300 ms", u)
		}
	})
	t.Run("the memory is that of the process, not of its parent", func(t *testing.T) {
		big := make([]byte, 200<<20)
		for i := range big {
			big[i] = 1
		}
		if u := shell(t, "sleep 0.2", time.Minute); u.Peak <= 0 || u.Peak > 50<<20 {
			t.Errorf("a shell took %d bytes", u.Peak)
		}
		clear(big)
	})
	t.Run("the time of a helper counts", func(t *testing.T) {
		helper := exec.Command("sh", "-c", "while :; do :; done")
		if err := helper.Start(); err != nil {
			needs.Lack(t, err.Error())
		}
		defer helper.Wait()
		defer helper.Process.Kill()
		u, err := Measure(t.Context(), Loopback{}, exec.Command("sleep", "0.5"), helper.Process.Pid, time.Minute)
		if err != nil || u.CPU < 50*time.Millisecond {
			t.Errorf("usage is %+v, %v; want the time of the helper", u, err)
		}
	})
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	u, err := Measure(ctx, Loopback{}, exec.Command("sleep", "60"), 0, time.Minute)
	if err != nil || u.Wall > 10*time.Second || u.Exit != -1 {
		t.Errorf("usage is %+v, %v", u, err)
	}
}

func TestTail(t *testing.T) {
	end := &tail{max: 12}
	for _, s := range []string{"a long line of words\n", "and", " more\r", " \n"} {
		if n, err := end.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got := LastLine(end.bytes); got != "and more" {
		t.Errorf("the last line is %q", got)
	}
	if len(end.bytes) > 12 {
		t.Errorf("keeps %d bytes, want 12", len(end.bytes))
	}
}
