package report

import (
	"fmt"
	"slices"

	"github.com/segpull/segpull/bench/lab"
)

// Race compares segpull with others that ran in the same turns.
type Race struct {
	Case   string
	Others []string
	Share  float64 // segpull's median time, divided by that of the fastest other
	Turns  Spread  // the same, of each turn
	Goal   float64 // the most that Share may be; 0: no goal
}

// Races compares segpull on a case with the rivals of its goal, and with another
// segpull, as far as they ran and did not fail.
func Races(c lab.Case, runs []lab.Run) (all []Race) {
	if r, ok := race(c.Name, c.Goal.Rivals, runs); ok {
		r.Goal = c.Goal.Share
		all = append(all, r)
	}
	if r, ok := race(c.Name, []string{lab.Before}, runs); ok {
		all = append(all, r)
	}
	return all
}

// race is false if segpull, or all others, have no good run.
func race(name string, others []string, runs []lab.Run) (r Race, ok bool) {
	r = Race{Case: name}
	mine := wallOf(lab.Segpull, runs)
	fastest := 0.0
	for _, other := range others {
		if walls := wallOf(other, runs); len(walls) > 0 {
			r.Others = append(r.Others, other)
			fastest = least(fastest, SpreadOf(walls...).Median)
		}
	}
	shares := turnShares(r.Others, runs)
	if len(mine) == 0 || len(shares) == 0 {
		return r, false
	}
	r.Share, r.Turns = SpreadOf(mine...).Median/fastest, SpreadOf(shares...)
	return r, true
}

// wallOf are the times of a tool's runs that did not fail.
func wallOf(tool string, runs []lab.Run) (walls []float64) {
	for _, run := range runs {
		if run.Tool == tool && !run.Failed() {
			walls = append(walls, run.Wall)
		}
	}
	return walls
}

// turnShares are segpull's time divided by that of the fastest other, for each
// turn in which both have a good run.
func turnShares(others []string, runs []lab.Run) (shares []float64) {
	mine, fastest := map[int]float64{}, map[int]float64{}
	for _, run := range runs {
		switch {
		case run.Failed():
		case run.Tool == lab.Segpull:
			mine[run.Turn] = run.Wall
		case slices.Contains(others, run.Tool):
			fastest[run.Turn] = least(fastest[run.Turn], run.Wall)
		}
	}
	for turn, wall := range mine {
		if fastest[turn] > 0 {
			shares = append(shares, wall/fastest[turn])
		}
	}
	return shares
}

// least returns the smaller of two times, and now where before is 0 because nothing was measured before.
func least(before, now float64) float64 {
	if before == 0 {
		return now
	}
	return min(before, now)
}

// String is one line.
func (r Race) String() string {
	line := fmt.Sprintf("%-17s %-8s takes %.2f of the time of %s (%.2f to %.2f by turn)",
		r.Case, lab.Segpull, r.Share, faster(r.Others), r.Turns.Min, r.Turns.Max)
	switch {
	case r.Goal == 0:
		return line
	case r.Share > r.Goal:
		return fmt.Sprintf("%s: MISSED: over %.2f", line, r.Goal)
	}
	return fmt.Sprintf("%s: reached, at most %.2f", line, r.Goal)
}
