package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/program"
)

// Options of a soak.
type Options struct {
	For    time.Duration // how long rounds start; those that run are finished
	Seed   uint64        // decides what the rounds do
	Round  int64         // the only round to run; negative: all that the time allows
	AtOnce int           // how many rounds run at the same time
	Log    io.Writer     // for progress, and for bad rounds at once
}

// soak is a soak that runs.
type soak struct {
	Options
	program string
	dir     string // of the rounds; the directories of bad ones stay
	tally   *tally
}

// Run runs rounds, writes what they did to w, and fails if one was bad.
func Run(ctx context.Context, w io.Writer, o Options) error {
	s := &soak{Options: o, tally: newTally()}
	var err error
	if s.dir, err = os.MkdirTemp("", "segpull-soak-"); err != nil {
		return err
	}
	if s.program, err = program.Build(ctx, s.dir); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	err = s.run(ctx)
	s.tally.print(w)
	if len(s.tally.bad) == 0 {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	return errors.Join(err, fmt.Errorf("%d of %d rounds failed; their files are in %s", len(s.tally.bad), s.tally.rounds, s.dir))
}

func (s *soak) run(ctx context.Context) error {
	if s.Round >= 0 {
		r := newRound(s.Seed, uint64(s.Round))
		fmt.Fprint(s.Log, r)
		return s.runRound(ctx, r)
	}
	fmt.Fprintf(s.Log, "Soaking for %s with seed %d, %d rounds at a time …\n", s.For, s.Seed, s.AtOnce)
	end := time.Now().Add(s.For)
	var next atomic.Uint64
	workers, ctx := errgroup.WithContext(ctx)
	for range s.AtOnce {
		workers.Go(func() error {
			for time.Now().Before(end) {
				if err := s.runRound(ctx, newRound(s.Seed, next.Add(1)-1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers.Wait()
}

// runRound runs a round, and logs at once what was wrong.
func (s *soak) runRound(ctx context.Context, r round) error {
	dir := filepath.Join(s.dir, fmt.Sprintf("round-%d", r.number))
	wrong, err := runRound(ctx, r, s.program, dir, s.tally)
	if err != nil {
		return fmt.Errorf("round %d of seed %d: %w", r.number, r.seed, err)
	}
	if len(wrong) == 0 {
		return os.RemoveAll(dir)
	}
	fmt.Fprintf(s.Log, "BAD round: go run ./bench soak -seed %d -round %d\n  %s\n", r.seed, r.number, strings.Join(wrong, "\n  "))
	return nil
}
