package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/program"
)

// soaker plays rounds, each of which pulls an image through misbehaving
// mirrors while the process and its files are mistreated.
type soaker struct {
	length time.Duration
	seed   uint64
	only   int64 // the round to play; negative: all
	atOnce int

	program string
	dir     string // of rounds; bad ones' folders stay
	tally   *tally
}

// runSoak pulls again and again through random faults, and fails if anything
// that segpull promises did not hold.
func runSoak(ctx context.Context, args []string) error {
	s := &soaker{tally: newTally()}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&s.length, "for", 10*time.Minute, "how long rounds are begun")
	flags.Uint64Var(&s.seed, "seed", rand.Uint64N(1e6), "decides what the rounds do")
	flags.Int64Var(&s.only, "round", -1, "play this round alone; by default all that the time allows")
	flags.IntVar(&s.atOnce, "at-once", 2*runtime.NumCPU(), "how many rounds are played at a time")
	if err := parseOnly(flags, args); err != nil {
		return err
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "segpull-soak-"); err != nil {
		return err
	}
	if s.program, err = program.Build(ctx, s.dir); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	err = s.run(ctx)
	s.tally.print(os.Stdout)
	if len(s.tally.bad) == 0 {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	return errors.Join(err, fmt.Errorf("%d of %d rounds were bad; what is left of them is in %s", len(s.tally.bad), s.tally.rounds, s.dir))
}

// run plays rounds until the time is over. Those that have begun are played to
// their end.
func (s *soaker) run(ctx context.Context) error {
	if s.only >= 0 {
		r := newSoakRound(s.seed, uint64(s.only))
		fmt.Fprint(os.Stderr, r)
		return s.play(ctx, r)
	}
	fmt.Fprintf(os.Stderr, "Soaking for %s with seed %d, %d rounds at a time …\n", s.length, s.seed, s.atOnce)
	end := time.Now().Add(s.length)
	var next atomic.Uint64
	players, ctx := errgroup.WithContext(ctx)
	for range s.atOnce {
		players.Go(func() error {
			for time.Now().Before(end) {
				if err := s.play(ctx, newSoakRound(s.seed, next.Add(1)-1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return players.Wait()
}

// play plays a round and tells at once if it was bad.
func (s *soaker) play(ctx context.Context, r soakRound) error {
	dir := filepath.Join(s.dir, fmt.Sprintf("round-%d", r.number))
	wrong, err := playSoak(ctx, r, s.program, dir, s.tally)
	if err != nil {
		return fmt.Errorf("round %d of seed %d: %w", r.number, r.seed, err)
	}
	if len(wrong) == 0 {
		return os.RemoveAll(dir)
	}
	fmt.Fprintf(os.Stderr, "BAD round: go run ./bench soak -seed %d -round %d\n  %s\n", r.seed, r.number, strings.Join(wrong, "\n  "))
	return nil
}
