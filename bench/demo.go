package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/segpull/segpull/bench/output"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// The demo's mirrors give 6 MiB/s, and 4 MiB/s once one of them is dead: about
// 17 seconds for the image.
var (
	demoLayers  = []int64{44 << 20, 24 << 20, 9 << 20, 3 << 20}
	demoMirrors = []demoMirror{
		{name: "north", rate: 3 << 20},
		{name: "south", rate: 2 << 20, dies: 5 * time.Second},
		{name: "west", rate: 1 << 20},
	}
)

type demoMirror struct {
	name string
	rate int64         // bytes a second
	dies time.Duration // after the start; 0: never

	reg *registrytest.Server
}

// demo pulls an image that it makes through the real command, with the
// terminal handed on to it. It needs no network.
func demo(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return usageError{"demo takes no arguments"}
	}
	return inTemp(func(dir string) error {
		fmt.Fprintln(os.Stderr, "Building segpull and an image of 80 MiB …")
		segpull, err := program.Build(ctx, dir)
		if err != nil {
			return err
		}
		origin := registrytest.New()
		image := imageOf(demoLayers, 1)
		origin.Push("library/demo", "latest", image)

		mirrors, config, stop, err := startDemoMirrors(origin)
		if err != nil {
			return err
		}
		defer stop()
		archive := filepath.Join(dir, "demo.tar")
		if err := demoPull(ctx, segpull, dir, config, archive, mirrors); err != nil {
			return err
		}
		return demoReport(archive, image, mirrors)
	})
}

// startDemoMirrors serves the mirrors on loopback and returns the
// configuration file that names them.
func startDemoMirrors(origin *registrytest.Server) (mirrors []demoMirror, config string, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	var toml strings.Builder
	for _, m := range demoMirrors {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			stop()
			return nil, "", nil, err
		}
		m.reg = origin.Mirror()
		m.reg.Throttle(m.rate)
		m.reg.Misbehave(registrytest.Latency(30 * time.Millisecond))
		url, s := serveMirror(m.reg, listener)
		stops = append(stops, s)
		fmt.Fprintf(&toml, "[mirror.%s]\nurl = %q\n", m.name, url)
		mirrors = append(mirrors, m)
	}
	return mirrors, toml.String(), stop, nil
}

func demoPull(ctx context.Context, segpull, dir, config, archive string, mirrors []demoMirror) error {
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	args := []string{"--config", "config.toml", "-o", filepath.Base(archive)}
	for _, m := range mirrors {
		args = append(args, "-m", m.name)
		fmt.Fprintf(os.Stderr, "  mirror %-5s gives %s/s%s\n", m.name, inMiB(m.rate), m.fate("dies"))
		if m.dies > 0 {
			timer := time.AfterFunc(m.dies, m.reg.Kill)
			defer timer.Stop()
		}
	}
	args = append(args, "demo")
	fmt.Fprintf(os.Stderr, "$ segpull %s\n", strings.Join(args, " "))

	pull := exec.CommandContext(ctx, segpull, args...)
	pull.Dir = dir // short paths, for lines that fit a terminal
	pull.Stdin, pull.Stdout, pull.Stderr = os.Stdin, os.Stdout, os.Stderr
	pull.Cancel = func() error { return pull.Process.Signal(os.Interrupt) }
	pull.WaitDelay = 5 * time.Second
	if err := pull.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("segpull: %w", err)
	}
	return nil
}

func demoReport(archive string, image registrytest.Image, mirrors []demoMirror) error {
	wanted := []string{image.Manifest.Digest.String(), image.Config.Digest.String()}
	size := image.Config.Size
	for _, layer := range image.Layers {
		wanted = append(wanted, layer.Digest.String())
		size += layer.Size
	}
	if err := output.Check(archive, wanted...); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr)
	var served int64
	for _, m := range mirrors {
		stats := m.reg.Stats()
		served += stats.Bytes
		fmt.Fprintf(os.Stderr, "%-5s served %s in %d requests, at most %d at once%s\n",
			m.name, inMiB(stats.Bytes), stats.Requests[registrytest.KindBlob], stats.Concurrent, m.fate("died"))
	}
	fmt.Fprintf(os.Stderr, "Together %s for an image of %s.\nIts %d blobs and the manifest have the right digests.\n",
		inMiB(served), inMiB(size), len(wanted)-1)
	return nil
}

// fate is ", dies after 5s" for a mirror that does.
func (m demoMirror) fate(verb string) string {
	if m.dies == 0 {
		return ""
	}
	return fmt.Sprintf(", %s after %s", verb, m.dies)
}

// inMiB writes a number of bytes in MiB.
func inMiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
