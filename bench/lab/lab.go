package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/segpull/segpull/bench/output"
	"github.com/segpull/segpull/bench/program"
)

// Lab runs tools on cases. It is safe for concurrent use.
type Lab struct {
	Segpull string    // path of the program
	Dir     string    // for images and for what tools write
	Log     io.Writer // Turns writes here which tools it leaves out

	mu     sync.Mutex
	images map[string]*image // by the sizes of their layers
}

// Run sets the case's network up, lets the tool pull, and takes the network
// down. The error is for a tool that could not start, or the context's; that
// the tool failed is in the Run.
func (l *Lab) Run(ctx context.Context, c Case, t Tool) (Run, error) {
	path, err := t.find(l.Segpull)
	if err != nil {
		return Run{}, err
	}
	i, err := l.image(ctx, c)
	if err != nil {
		return Run{}, err
	}
	s, err := setUp(c, i)
	if err != nil {
		return Run{}, err
	}
	defer s.close()
	dir, err := os.MkdirTemp(l.Dir, "run-") // short: a socket's path has at most 107 bytes, and containerd's is below
	if err != nil {
		return Run{}, err
	}
	defer os.RemoveAll(dir)
	run, err := s.pull(ctx, c, t, job{program: path, segpull: l.Segpull, image: i, mirrors: s.mirrors, dir: dir, ca: i.authority.path})
	if err != nil {
		return Run{}, err
	}
	return run, ctx.Err()
}

// pull measures a tool on the site.
func (s *site) pull(ctx context.Context, c Case, t Tool, j job) (Run, error) {
	helper, err := t.start(ctx, j, s.user)
	if err != nil {
		return Run{}, err
	}
	defer helper.stop()
	if helper.instead != nil {
		j.mirrors = helper.instead
	}
	cmd, err := t.command(j)
	if err != nil {
		return Run{}, err
	}
	cmd.Env = j.environment()
	needed := j.image.size()
	s.begin()
	started := time.Now()
	sampler := startSampler(s)
	u, err := program.Measure(ctx, s.user, cmd, helper.pid, limit(c.Bound(needed)))
	samples := sampler.end()
	if err != nil {
		return Run{}, err
	}
	if c.Sync {
		took, err := syncAll(j.dir)
		if err != nil {
			return Run{}, err
		}
		u.Wall += took
	}
	if u.Err == "" && t.archive {
		if err := output.Check(filepath.Join(j.dir, archiveName), j.image.Manifest.Digest.String()); err != nil {
			u.Err = err.Error()
		}
	}
	run := newRun(c, t, u, needed, s.wire(), s.mirrors)
	run.Samples, run.Started = samples, started
	return run, nil
}

// limit is how long a tool may take before it has failed.
func limit(bound time.Duration) time.Duration { return min(20*bound+30*time.Second, 4*time.Minute) }

// Turns runs each tool on the case some times, the tools in turns, and calls
// each after every run. When the context ends, it returns its error with the
// runs so far.
func (l *Lab) Turns(ctx context.Context, c Case, tools []Tool, runs int, each func(Run)) (all []Run, err error) {
	for turn := range runs {
		for _, t := range tools {
			run, err := l.Run(ctx, c, t)
			if ctx.Err() != nil {
				return all, ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(l.Log, "bench: %s on %s is left out: %v\n", t.Name, c.Name, err)
				continue
			}
			run.Turn = turn
			each(run)
			all = append(all, run)
		}
	}
	return all, nil
}
