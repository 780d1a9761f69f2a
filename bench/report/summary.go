package report

import (
	"fmt"
	"slices"

	"github.com/segpull/segpull/bench/lab"
)

// Spread is the median of several values, with the least and the greatest.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf needs at least one value.
func SpreadOf(values ...float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return Spread{median, sorted[0], sorted[n-1]}
}

// Seconds formats a spread of seconds, without the ends if all are the same.
func (s Spread) Seconds() string {
	if s.Max-s.Min < 0.05 {
		return fmt.Sprintf("%.1f s", s.Median)
	}
	return fmt.Sprintf("%.1f s (%.1f to %.1f)", s.Median, s.Min, s.Max)
}

// Summary is what several runs of one tool on one case have in common. The
// spreads are those of the runs that did not fail, or of all if all failed.
type Summary struct {
	Case       string  `json:"case"`
	Tool       string  `json:"tool"`
	Runs       int     `json:"runs"`
	Failures   int     `json:"failures"`
	Error      string  `json:"error,omitempty"` // of the last failure
	Exit       int     `json:"exit"`            // of the last failure
	Bound      float64 `json:"bound_seconds"`   // 0: only the machine limits
	Counted    bool    `json:"counted"`         // whether the servers counted what they served
	Wall       Spread  `json:"seconds"`
	Efficiency Spread  `json:"efficiency"`
	Waste      Spread  `json:"waste"`
	CPU        Spread  `json:"cpu_seconds"`
	Peak       Spread  `json:"peak_memory_bytes"`
}

// Summarize groups runs by case and tool, in order of first appearance.
func Summarize(runs []lab.Run) (all []Summary) {
	type key struct{ name, tool string }
	groups := map[key][]lab.Run{}
	var order []key
	for _, run := range runs {
		k := key{run.Case, run.Tool}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], run)
	}
	for _, k := range order {
		all = append(all, summary(groups[k]))
	}
	return all
}

func summary(runs []lab.Run) Summary {
	s := Summary{Case: runs[0].Case, Tool: runs[0].Tool, Runs: len(runs), Bound: runs[0].Bound, Counted: runs[0].Served > 0}
	var good []lab.Run
	for _, run := range runs {
		if run.Failed() {
			s.Failures++
			s.Error, s.Exit = run.Error, run.Exit
			continue
		}
		good = append(good, run)
	}
	if len(good) == 0 {
		good = runs
	}
	s.Wall = spread(good, func(r lab.Run) float64 { return r.Wall })
	s.Efficiency = spread(good, func(r lab.Run) float64 { return r.Efficiency })
	s.Waste = spread(good, lab.Run.Waste)
	s.CPU = spread(good, func(r lab.Run) float64 { return r.CPU })
	s.Peak = spread(good, func(r lab.Run) float64 { return float64(r.Peak) })
	return s
}

func spread(runs []lab.Run, value func(lab.Run) float64) Spread {
	var values []float64
	for _, run := range runs {
		values = append(values, value(run))
	}
	return SpreadOf(values...)
}

// String is one line.
func (s Summary) String() string {
	return fmt.Sprintf("%-17s %-8s medians: %s, efficiency %.3f (%.3f to %.3f), waste %.1f %%, %d of %d failed",
		s.Case, s.Tool, s.Wall.Seconds(), s.Efficiency.Median, s.Efficiency.Min, s.Efficiency.Max, 100*s.Waste.Median, s.Failures, s.Runs)
}
