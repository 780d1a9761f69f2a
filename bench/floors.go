package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

// floors measures a pull at full speed against what the machine can do at
// best: fetch the bytes, hash them, write them.
func floors(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floors", flag.ContinueOnError)
	runs := flags.Int("runs", 3, "runs of each, in turns; medians are shown")
	profile := flags.String("profile", "", "also write a CPU profile of one pull to this file, and print where the time went")
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := caseNamed("local")
	if err != nil {
		return err
	}
	return withRunner(ctx, func(r *runner) error {
		p, err := r.push(ctx, c)
		if err != nil {
			return err
		}
		if err := r.printFloors(ctx, c, p, *runs); err != nil || *profile == "" {
			return err
		}
		return r.profile(ctx, c, p, *profile)
	})
}

func (r *runner) printFloors(ctx context.Context, c Case, p *pushed, runs int) error {
	measures := []struct {
		name string
		take func() (time.Duration, error)
	}{
		{"segpull", func() (time.Duration, error) { return r.wall(ctx, c, "segpull") }},
		{"curl, blobs at once, not hashed", func() (time.Duration, error) { return r.wall(ctx, c, "curl") }},
		{"SHA-256, a core for each layer", func() (time.Duration, error) { return hashTime(c.Layers), nil }},
		{"file copy and fsync", func() (time.Duration, error) { return copyTime(p, r.dir) }},
		{"all of these in a bare loop", func() (time.Duration, error) { return r.bareTime(ctx, c, p) }},
	}
	times := make([][]float64, len(measures))
	for range runs {
		for i, m := range measures {
			took, err := m.take()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			times[i] = append(times[i], took.Seconds())
		}
	}
	medians := make([]float64, len(measures))
	for i, m := range measures {
		s := spreadOf(times[i])
		medians[i] = s.Median
		fmt.Printf("%-32s %s\n", m.name, s.seconds())
	}
	last := len(medians) - 1
	fmt.Printf("segpull by the slowest floor     %.2f (goal: 1.1)\n", medians[0]/slices.Max(medians[1:last]))
	fmt.Printf("segpull by the bare loop         %.2f\n", medians[0]/medians[last])
	return nil
}

func (r *runner) wall(ctx context.Context, c Case, tool string) (time.Duration, error) {
	run, err := r.run(ctx, c, toolsNamed(tool)[0])
	if err == nil && run.failed() {
		err = errors.New(run.Error)
	}
	return time.Duration(run.Wall * float64(time.Second)), err
}

// hashTime is for bytes that lie in memory, in as many streams as there are
// layers.
func hashTime(layers []int64) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for _, size := range layers {
		wg.Go(func() {
			buffer := make([]byte, mib)
			hash := sha256.New()
			for range size / mib {
				hash.Write(buffer)
			}
			hash.Sum(nil)
		})
	}
	wg.Wait()
	return time.Since(start)
}

// copyTime is for the image's layers, from the registry's files to one file.
func copyTime(p *pushed, dir string) (time.Duration, error) {
	out, err := os.CreateTemp(dir, "copy-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	start := time.Now()
	for _, layer := range p.image.Layers {
		if err := appendFile(out, p.stored(layer)); err != nil {
			return 0, err
		}
	}
	err = out.Sync()
	return time.Since(start), err
}

func appendFile(out io.Writer, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}

// bareTime is what the floors come to where one machine does all of it: a
// connection for each layer, whose bytes go through SHA-256 into a file that
// is synced, and nothing else.
func (r *runner) bareTime(ctx context.Context, c Case, p *pushed) (time.Duration, error) {
	s, err := setUp(c, *p)
	if err != nil {
		return 0, err
	}
	defer s.close()
	from := job{repository: benchRepository}
	start := time.Now()
	work, ctx := errgroup.WithContext(ctx)
	for _, layer := range p.image.Layers {
		work.Go(func() error { return bareFetch(ctx, s.mirrors[0].blobURL(from, layer), layer, r.dir) })
	}
	err = work.Wait()
	return time.Since(start), err
}

func bareFetch(ctx context.Context, url string, layer registrytest.Blob, dir string) error {
	out, err := os.CreateTemp(dir, "bare-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	hash := sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(hash, out), resp.Body, make([]byte, 256*kib)); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, hash); got != layer.Digest {
		return fmt.Errorf("%s is %s", url, got)
	}
	return out.Sync()
}

// stored is where docker-registry keeps a blob.
func (p *pushed) stored(b registrytest.Blob) string {
	hex := b.Digest.Encoded()
	return filepath.Join(p.storage, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
}

// profile pulls in this process, since a profile is of one process.
func (r *runner) profile(ctx context.Context, c Case, p *pushed, path string) error {
	s, err := setUp(c, *p)
	if err != nil {
		return err
	}
	defer s.close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	_, err = segpull.Pull(ctx, segpull.Options{
		Mirrors: []string{s.mirrors[0].url}, Output: filepath.Join(r.dir, "profiled.tar"),
	}, benchRepository+":"+benchTag)
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	top := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=25", path)
	top.Stdout, top.Stderr = os.Stdout, os.Stderr
	return top.Run()
}
