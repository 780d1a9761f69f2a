package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

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
// Times under five seconds have two decimals.
func (s Spread) Seconds() string {
	decimals := 1
	if s.Max < 5 {
		decimals = 2
	}
	return s.format(decimals, " s")
}

// Figures formats numbers with their median and, if they differ, their ends. It needs
// at least one number.
func Figures(decimals int, unit string, values ...float64) string {
	return SpreadOf(values...).format(decimals, unit)
}

func (s Spread) format(decimals int, unit string) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', decimals, 64) }
	text := number(s.Median) + unit
	if number(s.Min) != number(s.Max) {
		text += fmt.Sprintf(" (%s to %s)", number(s.Min), number(s.Max))
	}
	return text
}

// Percentile is the least time that p per cent of the times do not exceed, with p
// over 0 and at least one time.
func Percentile(times []time.Duration, p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

// percent formats a spread of shares, or – where there is no spread.
func (s *Spread) percent() string {
	if s == nil {
		return "–"
	}
	if s.Max-s.Min < 0.0005 {
		return fmt.Sprintf("%.1f %%", 100*s.Median)
	}
	return fmt.Sprintf("%.1f %% (%.1f to %.1f)", 100*s.Median, 100*s.Min, 100*s.Max)
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
	Wall       Spread  `json:"seconds"`
	Efficiency Spread  `json:"efficiency"`
	Served     *Spread `json:"served_beyond,omitempty"` // the need, as a share of it; nil: not counted
	Wire       *Spread `json:"wire_beyond,omitempty"`   // the same
	Refused    Spread  `json:"refused"`                 // answers with status 429
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
	s := Summary{Case: runs[0].Case, Tool: runs[0].Tool, Runs: len(runs), Bound: runs[0].Bound}
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
	s.Served = spreadOfCounted(good, lab.Run.ServedBeyond)
	s.Wire = spreadOfCounted(good, lab.Run.WireBeyond)
	s.Refused = spread(good, func(r lab.Run) float64 { return float64(r.Refused()) })
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

// spreadOfCounted is nil unless all runs counted the value.
func spreadOfCounted(runs []lab.Run, value func(lab.Run) (float64, bool)) *Spread {
	var values []float64
	for _, run := range runs {
		v, counted := value(run)
		if !counted {
			return nil
		}
		values = append(values, v)
	}
	s := SpreadOf(values...)
	return &s
}

// String is one line.
func (s Summary) String() string {
	efficiency := "–"
	if s.Bound > 0 {
		efficiency = fmt.Sprintf("%.3f (%.3f to %.3f)", s.Efficiency.Median, s.Efficiency.Min, s.Efficiency.Max)
	}
	return fmt.Sprintf("%-17s %-8s medians of %d: %s, efficiency %s, beyond the need: served %s, wire %s; 429s %.0f (%.0f to %.0f); %d failed",
		s.Case, s.Tool, s.Runs, s.Wall.Seconds(), efficiency, s.Served.percent(), s.Wire.percent(),
		s.Refused.Median, s.Refused.Min, s.Refused.Max, s.Failures)
}
