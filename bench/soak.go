package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/segpull/segpull/bench/soak"
)

func runSoak(ctx context.Context, args []string) error {
	o := soak.Options{Log: os.Stderr}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&o.For, "for", 10*time.Minute, "how long new rounds start; running ones are finished")
	flags.Uint64Var(&o.Seed, "seed", rand.Uint64N(1e6), "decides what the rounds do")
	flags.Int64Var(&o.Round, "round", -1, "run only this round; by default all that the time allows")
	flags.IntVar(&o.AtOnce, "at-once", 2*runtime.NumCPU(), "how many rounds run at the same time")
	if err := parseOnly(flags, args); err != nil {
		return err
	}
	return soak.Run(ctx, os.Stdout, o)
}
