package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/output"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

const mib = 1 << 20

// layers of 80 MiB take about 17 seconds: the mirrors serve 6 MiB/s, and 4 MiB/s
// after one of them stopped.
var layers = []int64{44 * mib, 24 * mib, 9 * mib, 3 * mib}

type mirror struct {
	name       string
	rate       int64         // bytes a second
	stopsAfter time.Duration // after the start; 0: never

	reg *registrytest.Server
	url string
}

// demo is a pull or a server, and its mirrors.
type demo struct {
	segpull string
	dir     string
	image   registrytest.Image
	mirrors []*mirror
	stops   lab.Stops
}

const archiveName = "demo.tar"

// Run shows the pull. segpull is the path of the program; the archive goes to
// dir.
func Run(ctx context.Context, segpull, dir string) error {
	return newDemo(segpull, dir).run(ctx, (*demo).showPull)
}

func newDemo(segpull, dir string) *demo {
	return &demo{
		segpull: segpull, dir: dir,
		image: registrytest.NewImage(registrytest.ImageOptions{Layers: layers, Seed: 1}),
		mirrors: []*mirror{
			{name: "north", rate: 3 * mib},
			{name: "south", rate: 2 * mib, stopsAfter: 5 * time.Second},
			{name: "west", rate: mib},
		},
	}
}

// run starts the mirrors and shows something with them.
func (d *demo) run(ctx context.Context, show func(*demo, context.Context) error) error {
	defer d.stops.Stop()
	if err := d.startMirrors(); err != nil {
		return err
	}
	if err := d.configure(); err != nil {
		return err
	}
	return show(d, ctx)
}

// startMirrors serves the image from the mirrors.
func (d *demo) startMirrors() error {
	origin := registrytest.New()
	origin.Push("library/demo", "latest", d.image)
	for _, m := range d.mirrors {
		listener, err := program.Loopback{}.Listen(0)
		if err != nil {
			return err
		}
		m.reg = origin.Mirror()
		m.reg.Throttle(m.rate)
		m.reg.Misbehave(registrytest.Latency(30 * time.Millisecond))
		url, stop := lab.Serve(m.reg, listener)
		m.url = url
		d.stops = append(d.stops, stop)
	}
	return nil
}

// configure writes the configuration file that names the mirrors.
func (d *demo) configure() error {
	var config strings.Builder
	for _, m := range d.mirrors {
		fmt.Fprintf(&config, "[mirror.%s]\nurl = %q\n", m.name, m.url)
	}
	return os.WriteFile(filepath.Join(d.dir, "config.toml"), []byte(config.String()), 0o600)
}

// useMirrors lists the mirrors in the terminal, starts the timers of those that
// stop, and returns the flags that name them all.
func (d *demo) useMirrors() (flags []string) {
	for _, m := range d.mirrors {
		flags = append(flags, "-m", m.name)
		fmt.Fprintf(os.Stderr, "  mirror %-5s gives %s/s%s\n", m.name, inMiB(m.rate), m.stop("stops"))
		if m.stopsAfter > 0 {
			timer := time.AfterFunc(m.stopsAfter, m.reg.Kill)
			d.stops = append(d.stops, func() { timer.Stop() })
		}
	}
	return flags
}

// showPull runs segpull in the terminal, checks the archive, and shows what each
// mirror served.
func (d *demo) showPull(ctx context.Context) error {
	if err := d.pull(ctx); err != nil {
		return err
	}
	blobs, _ := d.blobs()
	if err := output.Check(filepath.Join(d.dir, archiveName), append(blobs, d.image.Manifest.Digest.String())...); err != nil {
		return err
	}
	d.report()
	fmt.Fprintf(os.Stderr, "Its %d blobs and the manifest have the right digests.\n", len(blobs))
	return nil
}

func (d *demo) pull(ctx context.Context) error {
	args := append([]string{"--config", "config.toml", "-o", archiveName}, d.useMirrors()...)
	args = append(args, "demo")
	fmt.Fprintf(os.Stderr, "$ segpull %s\n", strings.Join(args, " "))

	pull := exec.CommandContext(ctx, d.segpull, args...)
	pull.Dir = d.dir // short paths, for lines that fit a terminal
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

// report shows what each mirror served.
func (d *demo) report() {
	fmt.Fprintln(os.Stderr)
	var served int64
	for _, m := range d.mirrors {
		stats := m.reg.Stats()
		served += stats.Bytes
		fmt.Fprintf(os.Stderr, "%-5s served %s in %d requests, at most %d at once%s\n",
			m.name, inMiB(stats.Bytes), stats.Requests[registrytest.KindBlob], stats.Concurrent, m.stop("stopped"))
	}
	_, size := d.blobs()
	fmt.Fprintf(os.Stderr, "Together %s for an image of %s.\n", inMiB(served), inMiB(size))
}

func (d *demo) blobs() (digests []string, size int64) {
	for _, b := range append([]registrytest.Blob{d.image.Config}, d.image.Layers...) {
		digests = append(digests, b.Digest.String())
		size += b.Size
	}
	return digests, size
}

// stop is ", stops after 5s" for a mirror that does.
func (m *mirror) stop(verb string) string {
	if m.stopsAfter == 0 {
		return ""
	}
	return fmt.Sprintf(", %s after %s", verb, m.stopsAfter)
}

func inMiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/mib) }
