package report

import (
	"fmt"
	"strings"

	"github.com/segpull/segpull/bench/lab"
)

// Header is the line above those of Line.
const Header = "case              tool       time    bound  E (goal)       served     wire  blob requests  429s   CPU   memory  verdict"

// Line is a run in one line: its time, efficiency, what servers served and links
// forwarded beyond the need, with the goals that it misses. Race compares the
// time with that of others.
func Line(c lab.Case, run lab.Run) string {
	goal := "-"
	if c.Goal.Efficiency > 0 {
		goal = fmt.Sprintf("%.2f", c.Goal.Efficiency)
	}
	result := "-"
	switch {
	case run.Failed():
		result = "failed: " + run.Error
	case run.Tool == lab.Segpull && c.Goal.OfRun():
		result = verdict(c.Goal, run)
	}
	return fmt.Sprintf("%-17s %-8s %6.2fs  %6.2fs  %.3f (%-4s)  %7s  %7s  %13d  %4d  %4.1fs  %4.0f MiB  %s",
		run.Case, run.Tool, run.Wall, run.Bound, run.Efficiency, goal, beyond(run.ServedBeyond()), beyond(run.WireBeyond()),
		run.Requests(), run.Refused(), run.CPU, float64(run.Peak)/mib, result)
}

// beyond is a share of the need in percent.
func beyond(share float64, counted bool) string {
	if !counted {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

func verdict(goal lab.Goal, run lab.Run) string {
	if missed := misses(goal, run); len(missed) > 0 {
		return "MISSED: " + strings.Join(missed, ", ")
	}
	return "reached"
}

func misses(goal lab.Goal, run lab.Run) (all []string) {
	if run.Efficiency < goal.Efficiency {
		all = append(all, fmt.Sprintf("efficiency under %.2f", goal.Efficiency))
	}
	if goal.Waste > 0 && run.Waste() > goal.Waste {
		all = append(all, fmt.Sprintf("waste over %.0f %%", 100*goal.Waste))
	}
	if goal.Refused > 0 && run.Refused() > goal.Refused {
		all = append(all, fmt.Sprintf("over %d 429s", goal.Refused))
	}
	return all
}
