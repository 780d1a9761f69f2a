package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// runCases runs cases by name and tells which goals are met.
func runCases(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cases", flag.ContinueOnError)
	runs := flags.Int("runs", 1, "runs of each tool on each case")
	with := flags.String("tools", "", "comma-separated; default: segpull, and aria2c where a goal compares with it")
	if err := parse(flags, args); err != nil {
		return err
	}
	chosen, err := chooseCases(flags.Args())
	if err != nil {
		return err
	}
	return withRunner(ctx, func(r *runner) error {
		fmt.Println(caseHeader)
		for _, c := range chosen {
			if err := r.printCase(ctx, c, *runs, toolsFor(c, *with)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *runner) printCase(ctx context.Context, c Case, runs int, with []Tool) error {
	var all []Run
	for range runs {
		var rival float64
		for _, t := range with {
			run, err := r.run(ctx, c, t)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s on %s is left out: %v\n", t.Name, c.Name, err)
				continue
			}
			if t.Name == "aria2c" {
				rival = run.Wall
			}
			fmt.Println(caseLine(c, run, rival))
			all = append(all, run)
		}
	}
	if runs > 1 {
		for _, s := range summarize(all) {
			fmt.Printf("%-17s %-8s medians: %s, efficiency %.3f (%.3f to %.3f), waste %.1f %%, %d of %d failed\n",
				s.Case, s.Tool, s.Wall.seconds(), s.Efficiency.Median, s.Efficiency.Min, s.Efficiency.Max, 100*s.Waste.Median, s.Failures, s.Runs)
		}
	}
	return nil
}

func chooseCases(names []string) ([]Case, error) {
	all := slices.Concat(cases, profiles)
	if len(names) == 0 {
		return cases, nil
	}
	var chosen []Case
	for _, name := range names {
		found := false
		for _, c := range all {
			if c.Name == name || (strings.HasSuffix(name, "*") && strings.HasPrefix(c.Name, strings.TrimSuffix(name, "*"))) {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, usageError{fmt.Sprintf("no case %q; there are %s", name, strings.Join(caseNames(all), ", "))}
		}
	}
	return chosen, nil
}

func caseNamed(name string) (Case, error) {
	found, err := chooseCases([]string{name})
	if err != nil {
		return Case{}, err
	}
	return found[0], nil
}

func caseNames(all []Case) []string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return names
}

// toolsFor has the rival before segpull, so that the goal can be told.
func toolsFor(c Case, names string) []Tool {
	if names == "" {
		names = "segpull"
		if c.Goal.Beats > 0 {
			names = "aria2c,segpull"
		}
	}
	return toolsNamed(strings.Split(names, ",")...)
}

const caseHeader = "case              tool      time   bound  E (goal)       waste   blob requests  429s  CPU    memory   verdict"

func caseLine(c Case, run Run, rival float64) string {
	goal := "-"
	if c.Goal.Efficiency > 0 {
		goal = fmt.Sprintf("%.2f", c.Goal.Efficiency)
	}
	verdict := "-"
	if run.Tool == "segpull" && c.Goal != (Goal{}) {
		verdict = c.Goal.verdict(run, rival)
	}
	if run.failed() {
		verdict = "failed: " + run.Error
	}
	return fmt.Sprintf("%-17s %-8s %5.1fs  %5.1fs  %.3f (%s)  %6.1f %%  %13d  %4d  %4.1fs  %4.0f MiB  %s",
		run.Case, run.Tool, run.Wall, run.Bound, run.Efficiency, goal, 100*run.waste(), run.requests(), run.refused(),
		run.CPU, float64(run.Peak)/mib, verdict)
}

// verdict says which goals a run misses. rival is the other tool's time in
// seconds, 0 if it did not run.
func (g Goal) verdict(run Run, rival float64) string {
	var misses []string
	if run.Efficiency < g.Efficiency {
		misses = append(misses, fmt.Sprintf("efficiency under %.2f", g.Efficiency))
	}
	if g.Waste > 0 && run.waste() > g.Waste {
		misses = append(misses, fmt.Sprintf("waste over %.0f %%", 100*g.Waste))
	}
	if g.Refused > 0 && run.refused() > g.Refused {
		misses = append(misses, fmt.Sprintf("over %d 429s", g.Refused))
	}
	beats := ""
	if g.Beats > 0 && rival > 0 {
		beats = fmt.Sprintf(" (%.2f × aria2c)", rival/run.Wall)
		if rival/run.Wall < g.Beats {
			misses = append(misses, fmt.Sprintf("under %.1f × aria2c", g.Beats))
		}
	}
	if len(misses) > 0 {
		return "MISSED: " + strings.Join(misses, ", ") + beats
	}
	return "reached" + beats
}
