package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/program"
)

// Options say what Measure measures.
type Options struct {
	Segpull      string    // the path of the program
	Nginx        string    // the content of deploy/nginx/segpull.conf
	Dir          string    // for caches, about 30 MiB for each origin
	Nodes        int       // at least 1
	PerImage     int       // nodes that pull the same image; at least 1
	Origins      []int     // numbers of servers behind nginx, each of them at least 1
	Runs         int       // of each; at least 1
	VerifiedOnly bool      // origins send no byte of a blob before its digest is right
	Log          io.Writer // receives a line for each step
}

// measured is what one run of a layout gave.
type measured struct {
	mirrored   int64 // bytes
	cold, warm []time.Duration
	last       time.Duration // until the last node had its image
	capacity   float64       // bytes a second of all nodes together, without limits of links
	origins    []use
	nginx      time.Duration // processor time
}

// use is what an origin used until the last node had its image.
type use struct {
	served int64 // bytes
	cpu    time.Duration
	peak   int64 // bytes of memory, with the pull without limits of links
}

// Check fails if a program that Measure needs is not installed.
func Check() error {
	if _, err := exec.LookPath("nginx"); err != nil {
		return errors.New("nginx is not installed: install it (Debian: apt install nginx-light), or only simulate: go run ./bench fleet simulated")
	}
	return nil
}

// Measure lets the nodes pull through each number of origins, and writes a table for each
// of them, in which the simulation of the same fleet is beside what was measured. With
// 200 nodes, it takes about 40 seconds for each number and run.
func Measure(ctx context.Context, w io.Writer, o Options) error {
	return o.measure(ctx, w, newPlan(o, tenth))
}

func (o Options) measure(ctx context.Context, w io.Writer, p plan) error {
	p.describe(w)
	runs := make([][]measured, len(o.Origins))
	var files []float64
	for range o.Runs {
		fmt.Fprintf(o.Log, "nginx alone serves the blobs as files …\n")
		carried, err := p.measureFiles(ctx, o)
		if err != nil {
			return err
		}
		files = append(files, carried)
		for i, number := range o.Origins {
			fmt.Fprintf(o.Log, "%d nodes pull through %s behind nginx …\n", len(p.Links), servers(number))
			m, err := p.measure(ctx, o, number)
			if err != nil {
				return fmt.Errorf("%s: %w", servers(number), err)
			}
			runs[i] = append(runs[i], m)
		}
	}
	for i, number := range o.Origins {
		if err := p.write(ctx, w, number, runs[i], files); err != nil {
			return err
		}
	}
	return nil
}

// measureFiles is how many bytes a second the nodes get together from an nginx that has
// the blobs as files, without limits of links.
func (p plan) measureFiles(ctx context.Context, o Options) (bytesPerSecond float64, err error) {
	dir, err := os.MkdirTemp(o.Dir, "files-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for i, img := range p.images {
		blobs := filepath.Join(dir, "v2", repository(i), "blobs")
		if err := os.MkdirAll(blobs, 0o700); err != nil {
			return 0, err
		}
		for _, b := range blobsOf(img) {
			if err := os.WriteFile(filepath.Join(blobs, b.Digest.String()), b.Bytes(), 0o600); err != nil {
				return 0, err
			}
		}
	}
	nginx, err := lab.ServeFiles(program.Loopback{}, dir, dir)
	if err != nil {
		return 0, err
	}
	defer nginx.Stop()
	return p.carry(ctx, nginx.URL, p.blobsOnly)
}

// carry lets all nodes pull without limits of links, and returns the bytes a second that
// they get together.
func (p plan) carry(ctx context.Context, server string, get ask) (float64, error) {
	_, took, err := p.pullAll(ctx, server, false, get)
	return float64(p.served()) / took.Seconds(), err
}

// measure lets all nodes pull through some origins: over their links from empty caches,
// and then without limits of links.
func (p plan) measure(ctx context.Context, o Options, number int) (m measured, err error) {
	dir, err := os.MkdirTemp(o.Dir, "site-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	s := &site{dir: dir}
	defer s.stops.Stop()
	if err := s.startMirrors(p); err != nil {
		return m, err
	}
	nginx, err := s.startOrigins(o, number)
	if err != nil {
		return m, err
	}
	all, last, err := p.pullAll(ctx, nginx.URL, true, byTag)
	if err != nil {
		return m, err
	}
	m.last, m.nginx = last, program.CPUTime(nginx.PID)
	for _, origin := range s.origins {
		served, err := origin.served(ctx)
		if err != nil {
			return m, err
		}
		m.origins = append(m.origins, use{served: served, cpu: program.CPUTime(origin.PID)})
	}
	if m.capacity, err = p.carry(ctx, nginx.URL, byTag); err != nil {
		return m, err
	}
	for i, origin := range s.origins {
		m.origins[i].peak = program.PeakMemory(origin.PID)
	}
	bytes, whole := s.mirrored()
	m.mirrored = bytes
	m.cold, m.warm = firstBytes(all, whole)
	return m, nil
}

func servers(number int) string {
	if number == 1 {
		return "1 server"
	}
	return fmt.Sprintf("%d servers", number)
}
