package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
)

// checked are short cases that need no root, one for each kind of mirror.
var checked = []string{"uneven-3", "dying", "stalling", "two-connections", "filling"}

// checkBaseline measures the ratios of the baseline and reports what got
// slower. That is no error, since a busy machine is slow too.
func checkBaseline(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	update := flags.Bool("update", false, "write the baseline instead of comparing with it")
	path := flags.String("baseline", "bench/baseline.json", "path of the baseline")
	runs := flags.Int("runs", 1, "runs of each case; the medians are compared")
	if err := parseOnly(flags, args); err != nil {
		return err
	}
	return withLab(ctx, func(l *lab.Lab) error {
		ratios, err := measureRatios(ctx, l, *runs)
		if err != nil {
			return err
		}
		now := report.NewBaseline(ratios)
		if *update {
			return now.Write(*path)
		}
		before, err := report.ReadBaseline(*path)
		if err != nil {
			return err
		}
		fmt.Print(before.Compare(now))
		return nil
	})
}

func measureRatios(ctx context.Context, l *lab.Lab, runs int) (ratios []report.Ratio, err error) {
	for _, name := range checked {
		summaries, err := summarize(ctx, l, name, runs, lab.Segpull)
		if err != nil {
			return nil, err
		}
		for _, s := range summaries {
			ratios = append(ratios, report.Ratio{Name: s.Case + ": efficiency", Value: s.Efficiency.Median})
		}
	}
	ratio, err := againstCurl(ctx, l, runs)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: full speed is left out:", err)
		return ratios, nil
	}
	return append(ratios, ratio), nil
}

// againstCurl needs docker-registry and curl.
func againstCurl(ctx context.Context, l *lab.Lab, runs int) (report.Ratio, error) {
	s, err := summarize(ctx, l, lab.Local, runs, lab.Segpull, "curl")
	if err != nil {
		return report.Ratio{}, err
	}
	if len(s) != 2 || s[0].Failures+s[1].Failures > 0 {
		return report.Ratio{}, errors.New("one of segpull and curl did not run")
	}
	return report.Ratio{Name: "local: time by curl's", Value: s[0].Wall.Median / s[1].Wall.Median, Lower: true}, nil
}

// summarize runs tools on a case.
func summarize(ctx context.Context, l *lab.Lab, name string, runs int, toolNames ...string) ([]report.Summary, error) {
	found, err := lab.Cases(name)
	if err != nil {
		return nil, err
	}
	tools, err := lab.Tools(toolNames...)
	if err != nil {
		return nil, err
	}
	all, err := l.Turns(ctx, found[0], tools, runs, func(lab.Run) {})
	return report.Summarize(all), err
}
