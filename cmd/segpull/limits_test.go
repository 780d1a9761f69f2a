//go:build unix

package main

import (
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
	a, set := &app{stderr: os.Stderr}, pflag.NewFlagSet("segpull", pflag.ContinueOnError)
	a.define(set)
	if err := set.Parse([]string{"--config", path}); err != nil {
		t.Fatal(err)
	}
	config, err := a.inherit()
	if err != nil {
		t.Fatal(err)
	}
	limits := segpull.NewLimits(0)
	warned := make(warnings, 1)
	go a.keepLimits(t.Context(), limits, config, warned, func(error) {})
	becomes(t, limits, 1<<20)

	write(`limit-rate = "2M@00:00-12:00,2M"`)
	hangup(t)
	becomes(t, limits, 2<<20)

	write(`limit-rate = "nonsense"`)
	hangup(t)
	select {
	case <-warned:
	case <-time.After(5 * time.Second):
		t.Error("no warning of a file that makes no sense")
	}
	becomes(t, limits, 2<<20)
}

type warnings chan segpull.Event

func (w warnings) Observe(e segpull.Event) { w <- e }

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
