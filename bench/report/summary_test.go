package report

import (
	"testing"

	"github.com/segpull/segpull/bench/lab"
)

func TestSpreadOf(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"one", []float64{2}, Spread{2, 2, 2}},
		{"odd", []float64{3, 1, 2}, Spread{2, 1, 3}},
		{"even", []float64{4, 1, 2, 3}, Spread{2.5, 1, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := SpreadOf(tt.values...); got != tt.want {
				t.Errorf("SpreadOf(%v) = %v, want %v", tt.values, got, tt.want)
			}
		})
	}
}

func TestSummarize(t *testing.T) {
	got := Summarize([]lab.Run{
		{Case: "a", Tool: "x", Wall: 1, Efficiency: 0.9, Needed: 100, Served: 110},
		{Case: "a", Tool: "y", Wall: 9, Needed: 100, Error: "connection reset", Exit: 1},
		{Case: "a", Tool: "x", Wall: 3, Efficiency: 0.3, Needed: 100, Served: 100},
		{Case: "a", Tool: "x", Wall: 50, Needed: 100, Error: "not done", Exit: -1},
	})
	if len(got) != 2 {
		t.Fatalf("%d summaries, want one for each tool", len(got))
	}
	x, y := got[0], got[1]
	if x.Tool != "x" || x.Runs != 3 || x.Failures != 1 || x.Exit != -1 {
		t.Errorf("x is %+v, want three runs of which one failed", x)
	}
	if x.Wall != (Spread{2, 1, 3}) {
		t.Errorf("x took %v; a failure must not count", x.Wall)
	}
	if x.Waste != (Spread{0.05, 0, 0.1}) {
		t.Errorf("x wasted %v, want 0 to 0.1", x.Waste)
	}
	if y.Failures != 1 || y.Error != "connection reset" || y.Wall.Median != 9 {
		t.Errorf("y is %+v, want its failure with the time that it took", y)
	}
}
