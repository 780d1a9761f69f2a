package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// target is a system to build for, as OS/ARCH.
type target string

func (t target) os() string   { return strings.Split(string(t)+"/", "/")[0] }
func (t target) arch() string { return strings.Split(string(t)+"/", "/")[1] }

func (t target) program() string {
	if t.os() == "windows" {
		return "segpull.exe"
	}
	return "segpull"
}

// built is a binary.
type built struct {
	path string
	info *debug.BuildInfo
}

// build builds segpull for a target, in a directory.
func build(ctx context.Context, t target, dir string) (built, error) {
	path := filepath.Join(dir, t.os()+"-"+t.arch(), t.program())
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", path, "./cmd/segpull")
	cmd.Env = append(os.Environ(),
		"GOOS="+t.os(), "GOARCH="+t.arch(), "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return built{}, fmt.Errorf("go build: %w", err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return built{}, err
	}
	b := built{path, info}
	if b.setting("vcs.time") == "" {
		return built{}, errors.New("the binary does not name its commit: run this in the root of a git clone, which is no worktree of another one")
	}
	return b, nil
}

func (b built) setting(key string) string {
	for _, s := range b.info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// version is the version without v: 1.2.3, or 0.0.0-20261126080000-0123456789ab without a
// tag, with +dirty if files were changed.
func (b built) version() string { return strings.TrimPrefix(b.info.Main.Version, "v") }

// time is that of the commit.
func (b built) time() time.Time {
	t, _ := time.Parse(time.RFC3339, b.setting("vcs.time")) // Go wrote it
	return t
}

// output returns what a command prints.
func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}
