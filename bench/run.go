package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/segpull/segpull/bench/output"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// Run is what came of one tool on one case.
type Run struct {
	Case       string        `json:"case"`
	Tool       string        `json:"tool"`
	Wall       float64       `json:"seconds"`
	Bound      float64       `json:"bound_seconds"`
	Efficiency float64       `json:"efficiency"` // bound by wall; 0 if it failed
	Needed     int64         `json:"needed_bytes"`
	Served     int64         `json:"served_bytes"`
	CPU        float64       `json:"cpu_seconds"`
	Peak       int64         `json:"peak_memory_bytes"`
	Exit       int           `json:"exit"`
	Error      string        `json:"error,omitempty"`
	Mirrors    []MirrorStats `json:"mirrors,omitempty"`

	started time.Time
	samples []sample
}

// MirrorStats is what one mirror did in a run.
type MirrorStats struct {
	Name       string `json:"name"`
	Rate       int64  `json:"rate"` // bytes a second that it could give
	Served     int64  `json:"served_bytes"`
	Requests   int    `json:"blob_requests"`
	Refused    int    `json:"refused"` // with status 429
	Concurrent int    `json:"concurrent"`

	log []registrytest.Request
}

// waste is what was served beyond the need, as a share of it; 0 where the
// servers do not tell.
func (r Run) waste() float64 {
	if r.Served == 0 {
		return 0
	}
	return float64(r.Served-r.Needed) / float64(r.Needed)
}

// line tells of the run in a few words.
func (r Run) line() string {
	if r.failed() {
		return fmt.Sprintf("%s on %s failed after %.1f s: %s", r.Tool, r.Case, r.Wall, r.Error)
	}
	return fmt.Sprintf("%s on %s: %.1f s, efficiency %.2f", r.Tool, r.Case, r.Wall, r.Efficiency)
}

func (r Run) failed() bool { return r.Error != "" }

func (r Run) requests() (n int) {
	for _, m := range r.Mirrors {
		n += m.Requests
	}
	return n
}

func (r Run) refused() (n int) {
	for _, m := range r.Mirrors {
		n += m.Refused
	}
	return n
}

// patience is how long a tool may take before it has failed.
func patience(bound time.Duration) time.Duration { return min(20*bound+30*time.Second, 4*time.Minute) }

// runner runs tools on cases.
type runner struct {
	segpull string // path of the program
	dir     string // for what the tools write
	images  map[*int64]*pushed
	told    io.Writer // where each run is told of as it ends; nil: nowhere
}

// pushed is an image and the registries that have it.
type pushed struct {
	image     registrytest.Image
	origin    *registrytest.Server
	storage   string // folder of docker-registry; "" until a case needs it
	authority authority
}

// push makes the case's image and has it served, once for all cases of the
// same layers.
func (r *runner) push(ctx context.Context, c Case) (*pushed, error) {
	key := &c.Layers[0]
	p, ok := r.images[key]
	if !ok {
		p = &pushed{
			image:  imageOf(c.Layers, 1),
			origin: registrytest.New(),
		}
		p.origin.Push(benchRepository, benchTag, p.image)
		if r.images == nil {
			r.images = map[*int64]*pushed{}
		}
		r.images[key] = p
	}
	if c.Server == "" || p.storage != "" {
		return p, nil
	}
	return p, p.store(ctx, r.dir)
}

func imageOf(layers []int64, seed uint64) registrytest.Image {
	return registrytest.NewImage(registrytest.ImageOptions{Layers: layers, Seed: seed})
}

// store pushes the image to a docker-registry, whose storage serves all
// further ones.
func (p *pushed) store(ctx context.Context, dir string) error {
	storage, err := os.MkdirTemp(dir, "registry-")
	if err != nil {
		return err
	}
	address, stop, err := serveRegistry(program.Loopback{}, registryStorage{dir: storage})
	if err != nil {
		return err
	}
	defer stop()
	if err := push(ctx, address, p.image); err != nil {
		return err
	}
	p.storage = storage
	p.authority, err = newAuthority(storage)
	return err
}

// run sets the case's network up, lets the tool pull, and takes all down.
func (r *runner) run(ctx context.Context, c Case, t Tool) (Run, error) {
	path, err := t.find(r.segpull)
	if err != nil {
		return Run{}, err
	}
	p, err := r.push(ctx, c)
	if err != nil {
		return Run{}, err
	}
	s, err := setUp(c, *p)
	if err != nil {
		return Run{}, err
	}
	defer s.close()
	dir, err := os.MkdirTemp(r.dir, t.Name+"-")
	if err != nil {
		return Run{}, err
	}
	defer os.RemoveAll(dir)
	j := job{program: path, repository: benchRepository, tag: benchTag, image: p.image, mirrors: s.mirrors, dir: dir, ca: p.authority.path}
	cmd, err := t.command(j)
	if err != nil {
		return Run{}, err
	}
	cmd.Env = j.environment()
	servant, err := t.serve(ctx, j, s.user)
	if err != nil {
		return Run{}, err
	}
	defer servant.stop()
	needed := imageSize(p.image)
	bound := c.bound(needed)
	s.begin()
	started := time.Now()
	sampler := startSampler(s)
	u, err := program.Measure(ctx, s.user, cmd, servant.pid, patience(bound))
	samples := sampler.end()
	if err != nil {
		return Run{}, err
	}
	if u.Err == "" && t.Name == "segpull" {
		if err := output.Check(filepath.Join(dir, "image.tar"), p.image.Manifest.Digest.String()); err != nil {
			u.Err = err.Error()
		}
	}
	run := newRun(c, t, u, needed, bound, s.mirrors)
	run.samples, run.started = samples, started
	return run, ctx.Err()
}

// turns runs every tool on every case some times, the tools taking turns. A
// tool that cannot run is left out with a word. When the context ends, what
// was done until then is returned with its error.
func (r *runner) turns(ctx context.Context, on []Case, with []Tool, runs int) ([]Run, error) {
	var all []Run
	for _, c := range on {
		for range runs {
			for _, t := range with {
				run, err := r.run(ctx, c, t)
				if ctx.Err() != nil {
					return all, ctx.Err()
				}
				if err != nil {
					fmt.Fprintf(os.Stderr, "bench: %s on %s is left out: %v\n", t.Name, c.Name, err)
					continue
				}
				if r.told != nil {
					fmt.Fprintln(r.told, run.line())
				}
				all = append(all, run)
			}
		}
	}
	return all, nil
}

func newRun(c Case, t Tool, u program.Usage, needed int64, bound time.Duration, mirrors []running) Run {
	run := Run{
		Case: c.Name, Tool: t.Name,
		Wall: u.Wall.Seconds(), Bound: bound.Seconds(), Needed: needed,
		CPU: u.CPU.Seconds(), Peak: u.Peak, Exit: u.Exit, Error: u.Err,
	}
	if u.Err == "" && bound > 0 {
		run.Efficiency = run.Bound / run.Wall
	}
	for _, m := range mirrors {
		if m.reg == nil {
			continue
		}
		stats := m.reg.Stats()
		run.Served += stats.Bytes
		run.Mirrors = append(run.Mirrors, MirrorStats{
			Name: m.Name, Rate: m.Rate, Served: stats.Bytes,
			Requests: stats.Requests[registrytest.KindBlob], Refused: stats.Statuses[429],
			Concurrent: stats.Concurrent, log: stats.Log,
		})
	}
	return run
}
