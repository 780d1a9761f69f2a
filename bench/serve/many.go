package serve

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/client"
	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/report"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	// manyImages have ten blobs each, beside their manifests.
	manyImages, fewImages = 1000, 10
	// lookUps is how many blobs a client asks for in a run, one after the other.
	lookUps = 2000
	// fillers is how many images are pulled at once to fill a cache.
	fillers = 8
)

// many starts servers with 10,000 blobs in their caches and with 100, and asks for them.
func (m *meter) many(ctx context.Context) error { return m.compare(ctx, manyImages, fewImages) }

// compare compares caches with so many images of ten blobs each.
func (m *meter) compare(ctx context.Context, manyImages, fewImages int) error {
	many, err := m.fill(ctx, manyImages)
	if err != nil {
		return err
	}
	defer many.stop()
	few, err := m.fill(ctx, fewImages)
	if err != nil {
		return err
	}
	defer few.stop()
	var all, fewer lookUp
	for range m.runs {
		if err := all.measure(ctx, many); err != nil {
			return err
		}
		if err := fewer.measure(ctx, few); err != nil {
			return err
		}
	}
	for _, row := range []struct {
		name, goal string
		of         func(lookUp) []float64
	}{
		{"start of segpull serve, from exec until it takes connections", "< 1000 ms", func(l lookUp) []float64 { return l.start }},
		{"the first byte of the first blob after that", "-", func(l lookUp) []float64 { return l.first }},
		{"first byte of a cached blob of 2 KiB, one client, p99", "-", func(l lookUp) []float64 { return l.late }},
		{"the same, p50", "-", func(l lookUp) []float64 { return l.middle }},
	} {
		m.row(fmt.Sprintf("%s: %d blobs in the cache", row.name, len(many.blobs)), row.goal, "%s; with %d: %s",
			report.Figures(2, " ms", row.of(all)...), len(few.blobs), report.Figures(2, " ms", row.of(fewer)...))
	}
	m.row("that p50 divided by the one with few blobs", "≤ 1.25", "%s", report.Figures(2, "", ratios(all.middle, fewer.middle)...))
	return nil
}

// filled is a cache with images, in the directory of a server.
type filled struct {
	server lab.SegpullServer
	blobs  []string // the paths of their URLs
	stop   func()
}

// fill lets a server fetch images of ten blobs, and ends it.
func (m *meter) fill(ctx context.Context, images int) (f *filled, err error) {
	dir, err := os.MkdirTemp(m.lab.Dir, "many-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir}
	f = &filled{stop: func() { _ = os.RemoveAll(dir) }}
	defer s.stops.Stop()
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	mirror, reg, err := s.mirror(0)
	if err != nil {
		return nil, err
	}
	for i := range images {
		img := registrytest.NewImage(registrytest.ImageOptions{Seed: uint64(i + 1), Layers: slices.Repeat([]int64{2 << 10}, 9)})
		name := fmt.Sprintf("library/app%d", i)
		reg.Push(name, tag, img)
		for _, b := range append(img.Layers, img.Config) {
			f.blobs = append(f.blobs, "/v2/"+name+"/blobs/"+b.Digest.String())
		}
	}
	f.server = lab.SegpullServer{Program: m.lab.Segpull, Dir: filepath.Join(dir, "serve"), Mirrors: []string{mirror}}
	if err := os.Mkdir(f.server.Dir, 0o700); err != nil {
		return nil, err
	}
	d, err := s.stops.Keep(lab.ServeSegpull(program.Loopback{}, f.server))
	if err != nil {
		return nil, err
	}
	return f, pullImages(ctx, d.URL, images)
}

func pullImages(ctx context.Context, server string, images int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fillers)
	for i := range images {
		group.Go(func() error {
			c := client.New(fmt.Sprintf("%s/v2/library/app%d", server, i), client.Options{})
			defer c.Close()
			_, err := c.Pull(ctx, tag)
			return err
		})
	}
	return group.Wait()
}

// lookUp is what was measured of a cache, in milliseconds for each run.
type lookUp struct{ start, first, middle, late []float64 }

// measure starts a server that has only its cache, and asks it for blobs.
func (l *lookUp) measure(ctx context.Context, f *filled) error {
	began := time.Now()
	d, err := lab.ServeSegpull(program.Loopback{}, f.server)
	if err != nil {
		return err
	}
	defer d.Stop()
	l.start = append(l.start, milliseconds(time.Since(began)))
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	var times []time.Duration
	for range lookUps {
		took, err := ask(ctx, c, d.URL+f.blobs[rand.IntN(len(f.blobs))])
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	l.first = append(l.first, milliseconds(times[0]))
	l.middle = append(l.middle, milliseconds(report.Percentile(times, 50)))
	l.late = append(l.late, milliseconds(report.Percentile(times, 99)))
	return nil
}
