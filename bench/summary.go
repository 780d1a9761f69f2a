package main

import (
	"fmt"
	"slices"
)

// Spread is the median of several values, with the least and the greatest.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf needs at least one value.
func spreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return Spread{median, sorted[0], sorted[n-1]}
}

// seconds writes a spread of seconds, without the ends where they are the same.
func (s Spread) seconds() string {
	if s.Max-s.Min < 0.05 {
		return fmt.Sprintf("%.1f s", s.Median)
	}
	return fmt.Sprintf("%.1f s (%.1f to %.1f)", s.Median, s.Min, s.Max)
}

// Summary is what came of one tool on one case in several runs. The spreads
// are those of the runs that did not fail, or of all if all did.
type Summary struct {
	Case       string  `json:"case"`
	Tool       string  `json:"tool"`
	Runs       int     `json:"runs"`
	Failures   int     `json:"failures"`
	Error      string  `json:"error,omitempty"` // of the last failure
	Exit       int     `json:"exit"`            // of the last failure
	Bound      float64 `json:"bound_seconds"`   // 0: none but the machine
	Counted    bool    `json:"counted"`         // whether the servers told what they served
	Wall       Spread  `json:"seconds"`
	Efficiency Spread  `json:"efficiency"`
	Waste      Spread  `json:"waste"`
	CPU        Spread  `json:"cpu_seconds"`
	Peak       Spread  `json:"peak_memory_bytes"`
}

// summarize groups runs by case and tool, in order of first appearance.
func summarize(runs []Run) []Summary {
	type key struct{ name, tool string }
	groups := map[key][]Run{}
	var order []key
	for _, run := range runs {
		k := key{run.Case, run.Tool}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], run)
	}
	var all []Summary
	for _, k := range order {
		all = append(all, summary(groups[k]))
	}
	return all
}

func summary(runs []Run) Summary {
	s := Summary{Case: runs[0].Case, Tool: runs[0].Tool, Runs: len(runs), Bound: runs[0].Bound, Counted: runs[0].Served > 0}
	var good []Run
	for _, run := range runs {
		if run.failed() {
			s.Failures++
			s.Error, s.Exit = run.Error, run.Exit
			continue
		}
		good = append(good, run)
	}
	if len(good) == 0 {
		good = runs
	}
	spread := func(value func(Run) float64) Spread {
		var values []float64
		for _, run := range good {
			values = append(values, value(run))
		}
		return spreadOf(values)
	}
	s.Wall = spread(func(r Run) float64 { return r.Wall })
	s.Efficiency = spread(func(r Run) float64 { return r.Efficiency })
	s.Waste = spread(Run.waste)
	s.CPU = spread(func(r Run) float64 { return r.CPU })
	s.Peak = spread(func(r Run) float64 { return float64(r.Peak) })
	return s
}
