package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/weaknet"
)

// figures prints the numbers that the project promises, as rows of Markdown.
func figures(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	runs := flags.Int("runs", 3, "runs of each; medians are shown")
	if err := parse(flags, args); err != nil {
		return err
	}
	all := []struct {
		name string
		show func(context.Context, *runner, int) error
	}{
		{"local", localFigure},
		{"mirrors", mirrorsFigure},
		{"limit", limitFigure},
		{"binary", binaryFigure},
	}
	wanted := map[string]bool{}
	for _, name := range flags.Args() {
		wanted[name] = true
	}
	return inTemp(func(dir string) error {
		segpull, err := program.Build(ctx, dir)
		if err != nil {
			return err
		}
		fmt.Println("| figure | goal | measured |\n|---|---|---|")
		for _, f := range all {
			if len(wanted) > 0 && !wanted[f.name] {
				continue
			}
			if err := f.show(ctx, &runner{segpull: segpull, dir: dir}, *runs); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		return nil
	})
}

func figure(name, goal, format string, args ...any) {
	fmt.Printf("| %s | %s | %s |\n", name, goal, fmt.Sprintf(format, args...))
}

// localFigure pulls 1 GiB from a registry on this machine, in turns with the
// peers.
func localFigure(ctx context.Context, r *runner, runs int) error {
	c, err := caseNamed("local")
	if err != nil {
		return err
	}
	all, err := r.turns(ctx, []Case{c}, toolsNamed("segpull", "crane", "regctl"), runs)
	if err != nil {
		return err
	}
	for _, s := range summarize(all) {
		goal := "-"
		if s.Tool == "segpull" {
			goal = "no slower than crane and regctl; under 64 MiB"
		}
		figure("1 GiB from a local docker-registry: "+s.Tool, goal, "%s, %s CPU, %.0f MiB of memory",
			s.Wall.seconds(), s.CPU.seconds(), s.Peak.Median/mib)
	}
	return nil
}

// mirrorsFigure is the efficiency over three mirrors of different rates.
func mirrorsFigure(ctx context.Context, r *runner, runs int) error {
	c, err := caseNamed("uneven-3")
	if err != nil {
		return err
	}
	all, err := r.turns(ctx, []Case{c}, toolsNamed("segpull"), runs)
	if err != nil {
		return err
	}
	for _, s := range summarize(all) {
		figure("mirrors of 2, 4 and 6 MiB/s: share of their sum", "≥ 0.90", "%.3f (%.3f to %.3f)",
			s.Efficiency.Median, s.Efficiency.Min, s.Efficiency.Max)
	}
	return nil
}

const (
	limitRate = 2 * mib
	limitTime = 10 * time.Second
)

// limitFigure pulls for ten seconds under a limit over a link of 100 Mbit/s,
// and counts at the user's end of it.
func limitFigure(ctx context.Context, r *runner, runs int) error {
	c := Case{
		Name: "limit", TCP: true, Layers: []int64{limitRate * int64(limitTime/time.Second)},
		Link:    weaknet.Link{Down: 100 * mbit, Up: 100 * mbit},
		Mirrors: []Mirror{{Name: "a", Rate: 100 * mbit, RTT: ms(20)}, {Name: "b", Rate: 100 * mbit, RTT: ms(40)}},
	}
	t := Tool{Name: "segpull", command: func(j job) (*exec.Cmd, error) {
		cmd, err := segpullCommand(j)
		cmd.Args = append(cmd.Args, "--limit-rate", fmt.Sprint(limitRate))
		return cmd, err
	}}
	var mean, first, fullest []float64
	for range runs {
		run, err := r.run(ctx, c, t)
		if err != nil {
			return err
		}
		if run.failed() {
			return errors.New(run.Error)
		}
		mean = append(mean, float64(run.Needed)/run.Wall/limitRate)
		first = append(first, float64(receivedBy(run.samples, time.Second))/limitRate)
		fullest = append(fullest, float64(fullestWindow(run.samples, time.Second))/limitRate)
	}
	figure("`--limit-rate 2M` for 10 s: mean rate by the limit", "0.97 to 1.03", "%.3f", spreadOf(mean).Median)
	figure("the first second by the limit", "no burst", "%.3f", spreadOf(first).Median)
	figure("the fullest second by the limit", "no burst", "%.3f", spreadOf(fullest).Median)
	return nil
}

// binaryFigure is about the program itself.
func binaryFigure(ctx context.Context, r *runner, _ int) error {
	info, err := os.Stat(r.segpull)
	if err != nil {
		return err
	}
	figure("binary, stripped", "< 20 MiB", "%.1f MiB", float64(info.Size())/mib)
	var starts []float64
	for range 20 {
		u, err := program.Measure(ctx, program.Loopback{}, exec.Command(r.segpull, "--version"), 0, time.Minute)
		if err != nil {
			return err
		}
		starts = append(starts, u.Wall.Seconds()*1000)
	}
	s := spreadOf(starts)
	figure("`"+filepath.Base(r.segpull)+" --version`", "< 30 ms", "%.0f ms (%.0f to %.0f)", s.Median, s.Min, s.Max)
	return nil
}
