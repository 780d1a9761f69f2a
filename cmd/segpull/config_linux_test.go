package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// TestConfigThatMayNotBeRead has a file of mode 0. Root could read it, so this thread
// becomes another user for the file system.
func TestConfigThatMayNotBeRead(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	path := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "segpull", "config.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("quiet = true"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		const nobody = 65534
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unix.Setfsuid(nobody)
		defer unix.Setfsuid(0)
	}

	f, set := &flags{}, pflag.NewFlagSet("segpull", pflag.ContinueOnError)
	f.define(set)
	if _, err := f.inherit(); err != nil || len(f.doubts) != 1 || !strings.Contains(f.doubts[0], path) {
		t.Errorf("at its usual place: warnings %q, %v; want one that names %s", f.doubts, err, path)
	}
	set.Set("config", path)
	if _, err := f.inherit(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("named by --config: %v", err)
	}
}
