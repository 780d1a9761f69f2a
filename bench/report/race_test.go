package report

import (
	"testing"

	"github.com/segpull/segpull/bench/lab"
)

func TestGoals(t *testing.T) {
	for want, goal := range map[string]lab.Goal{
		"":                             {},
		"≤ 0.67 of the time of aria2c": {Rivals: []string{"aria2c"}, Share: 0.67},
		"efficiency ≥ 0.90, waste ≤ 2 %, 429s ≤ 4, ≤ 0.70 of the time of the faster of crane and regctl": {
			Efficiency: 0.9, Waste: 0.02, Refused: 4, Rivals: []string{"crane", "regctl"}, Share: 0.7,
		},
	} {
		if got := Goals(goal); got != want {
			t.Errorf("the goals of %+v are %q, want %q", goal, got, want)
		}
	}
}

func TestRaces(t *testing.T) {
	c := lab.Case{Name: "far", Goal: lab.Goal{Rivals: []string{"crane", "regctl"}, Share: 0.7}}
	run := func(tool string, turn int, wall float64) lab.Run {
		return lab.Run{Case: "far", Tool: tool, Turn: turn, Wall: wall}
	}
	failed := func(r lab.Run) lab.Run {
		r.Error = "reset"
		return r
	}
	tests := []struct {
		name string
		runs []lab.Run
		want []string
	}{
		{"none", nil, nil},
		{"segpull alone", []lab.Run{run(lab.Segpull, 0, 1)}, nil},
		{"the faster counts", []lab.Run{run("crane", 0, 4), run("regctl", 0, 2), run(lab.Segpull, 0, 1)}, []string{
			"far               segpull  takes 0.50 of the time of the faster of crane and regctl (0.50 to 0.50 by turn): reached, at most 0.70",
		}},
		{"medians, and each turn", []lab.Run{
			run("crane", 0, 2), run(lab.Segpull, 0, 2), run("crane", 1, 2.5), run(lab.Segpull, 1, 2), run("crane", 2, 4), run(lab.Segpull, 2, 2),
		}, []string{
			"far               segpull  takes 0.80 of the time of crane (0.50 to 1.00 by turn): MISSED: over 0.70",
		}},
		{"failures do not count", []lab.Run{
			failed(run("crane", 0, 1)), run("regctl", 0, 2), run(lab.Segpull, 0, 1), failed(run(lab.Segpull, 1, 9)), run("regctl", 1, 2),
		}, []string{
			"far               segpull  takes 0.50 of the time of regctl (0.50 to 0.50 by turn): reached, at most 0.70",
		}},
		{"another segpull", []lab.Run{run(lab.Segpull, 0, 3), run(lab.Before, 0, 4)}, []string{
			"far               segpull  takes 0.75 of the time of before (0.75 to 0.75 by turn)",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			races := Races(c, tt.runs)
			if len(races) != len(tt.want) {
				t.Fatalf("%d races, want %d: %v", len(races), len(tt.want), races)
			}
			for i, want := range tt.want {
				if got := races[i].String(); got != want {
					t.Errorf("race %d is\n%s, want\n%s", i, got, want)
				}
			}
		})
	}
}
