package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/segpull/segpull/bench/program"
)

// Baseline has ratios, which say the same on every machine: efficiencies,
// and times by those of curl in the same run.
type Baseline struct {
	Commit string  `json:"commit"`
	Ratios []Ratio `json:"ratios"`
}

// Ratio is one of them.
type Ratio struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Lower tells that less is better.
	Lower bool `json:"lower_is_better,omitempty"`
}

const (
	baselinePath = "bench/baseline.json"
	// tolerance is the share by which runs differ anyway.
	tolerance = 0.05
)

// checked are quick, need no root, and each stands for something else.
var checked = []string{"uneven-3", "dying", "stalling", "two-connections", "filling"}

// check measures anew what the baseline has, and tells what got slower. That
// something did is no error: machines that do other work as well are slow.
func check(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	update := flags.Bool("update", false, "write the baseline instead of comparing with it")
	path := flags.String("baseline", baselinePath, "the file")
	runs := flags.Int("runs", 1, "runs of each case; the medians count")
	if err := parse(flags, args); err != nil {
		return err
	}
	var now Baseline
	err := inTemp(func(dir string) (err error) {
		now, err = measureRatios(ctx, dir, *runs)
		return err
	})
	if err != nil {
		return err
	}
	if *update {
		content, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(*path, append(content, '\n'), 0o644)
	}
	content, err := os.ReadFile(*path)
	if err != nil {
		return err
	}
	var before Baseline
	if err := json.Unmarshal(content, &before); err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	fmt.Print(before.compare(now))
	return nil
}

func measureRatios(ctx context.Context, dir string, runs int) (Baseline, error) {
	segpull, err := program.Build(ctx, dir)
	if err != nil {
		return Baseline{}, err
	}
	r := &runner{segpull: segpull, dir: dir}
	on, err := chooseCases(checked)
	if err != nil {
		return Baseline{}, err
	}
	all, err := r.turns(ctx, on, toolsNamed("segpull"), runs)
	if err != nil {
		return Baseline{}, err
	}
	now := Baseline{Commit: commit()}
	for _, s := range summarize(all) {
		now.Ratios = append(now.Ratios, Ratio{Name: s.Case + ": efficiency", Value: s.Efficiency.Median})
	}
	ratio, err := r.againstCurl(ctx, runs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: full speed is left out:", err)
		return now, nil
	}
	now.Ratios = append(now.Ratios, ratio)
	return now, nil
}

// againstCurl needs docker-registry and curl.
func (r *runner) againstCurl(ctx context.Context, runs int) (Ratio, error) {
	c, err := caseNamed("local")
	if err != nil {
		return Ratio{}, err
	}
	all, err := r.turns(ctx, []Case{c}, toolsNamed("segpull", "curl"), runs)
	if err != nil {
		return Ratio{}, err
	}
	summaries := summarize(all)
	if len(summaries) != 2 || summaries[0].Failures+summaries[1].Failures > 0 {
		return Ratio{}, errors.New("one of segpull and curl did not run")
	}
	return Ratio{"local: time by curl's", summaries[0].Wall.Median / summaries[1].Wall.Median, true}, nil
}

// compare says of each ratio what became of it.
func (b Baseline) compare(now Baseline) (report string) {
	slower := 0
	for _, was := range b.Ratios {
		is, ok := now.ratio(was.Name)
		if !ok {
			report += fmt.Sprintf("%-28s %.3f at %s, not measured now\n", was.Name, was.Value, b.Commit)
			continue
		}
		verdict := "as before"
		switch loss := was.loss(is); {
		case is.Value == 0:
			verdict = "FAILED"
			slower++
		case loss > tolerance:
			verdict = fmt.Sprintf("SLOWER by %.0f %%", 100*loss)
			slower++
		case loss < -tolerance:
			verdict = fmt.Sprintf("faster by %.0f %%", -100*loss)
		}
		report += fmt.Sprintf("%-28s %.3f, was %.3f at %s: %s\n", was.Name, is.Value, was.Value, b.Commit, verdict)
	}
	return report + fmt.Sprintf("%d of %d got slower.\n", slower, len(b.Ratios))
}

func (b Baseline) ratio(name string) (Ratio, bool) {
	for _, r := range b.Ratios {
		if r.Name == name {
			return r, true
		}
	}
	return Ratio{}, false
}

// loss is by what share of time the later one is worse.
func (r Ratio) loss(later Ratio) float64 {
	if r.Lower {
		return later.Value/r.Value - 1
	}
	return r.Value/later.Value - 1
}
