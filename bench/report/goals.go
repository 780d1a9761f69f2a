package report

import (
	"fmt"
	"strings"

	"github.com/segpull/segpull/bench/lab"
)

// Goals are a case's goals in words; "" if it has none.
func Goals(goal lab.Goal) string {
	var all []string
	if goal.Efficiency > 0 {
		all = append(all, fmt.Sprintf("efficiency ≥ %.2f", goal.Efficiency))
	}
	if goal.Waste > 0 {
		all = append(all, fmt.Sprintf("waste ≤ %.0f %%", 100*goal.Waste))
	}
	if goal.Refused > 0 {
		all = append(all, fmt.Sprintf("429s ≤ %d", goal.Refused))
	}
	if len(goal.Rivals) > 0 {
		all = append(all, fmt.Sprintf("≤ %.2f of the time of %s", goal.Share, faster(goal.Rivals)))
	}
	return strings.Join(all, ", ")
}

// faster names the fastest of several tools.
func faster(tools []string) string {
	names := strings.Join(tools, " and ")
	if len(tools) > 1 {
		return "the faster of " + names
	}
	return names
}
