//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/segpull/segpull"
)

func TestHangupReadsTheLimitsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`limit-rate = "1M"`)
	limits, warned := follow(t, path)
	becomes(t, limits, 1<<20)

	write(`limit-rate = "2M@00:00-12:00,2M"`)
	hangup(t)
	becomes(t, limits, 2<<20)

	write(`limit-rate = "nonsense"`)
	hangup(t)
	warned.wait(t)
	becomes(t, limits, 2<<20)
}

func TestHangupReadsNoPipeAgain(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprintln(w, `limit-rate = "1M"`)
	w.Close()
	limits, warned := follow(t, fmt.Sprintf("/dev/fd/%d", r.Fd()))
	becomes(t, limits, 1<<20)
	hangup(t)
	warned.wait(t)
	becomes(t, limits, 1<<20)
}

// follow updates limits from a configuration file.
func follow(t *testing.T, path string) (*segpull.Limits, warnings) {
	t.Helper()
	a, set := &app{stderr: os.Stderr}, pflag.NewFlagSet("segpull", pflag.ContinueOnError)
	a.define(set)
	if err := set.Parse([]string{"--config", path}); err != nil {
		t.Fatal(err)
	}
	config, err := a.inherit()
	if err != nil {
		t.Fatal(err)
	}
	limits, warned := segpull.NewLimits(0), make(warnings, 1)
	go a.keepLimits(t.Context(), limits, config, warned, func(error) {})
	return limits, warned
}

type warnings chan segpull.Event

func (w warnings) Observe(e segpull.Event) { w <- e }

func (w warnings) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w:
	case <-time.After(5 * time.Second):
		t.Error("no warning that limits stay as they are")
	}
}

func hangup(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func becomes(t *testing.T, limits *segpull.Limits, rate int64) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); limits.Rate() != rate; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the limit is %d, want %d", limits.Rate(), rate)
		}
	}
}
