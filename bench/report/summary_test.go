package report

import (
	"testing"
	"time"

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

func TestSeconds(t *testing.T) {
	for _, tt := range []struct {
		spread Spread
		want   string
	}{
		{Spread{1, 1, 1}, "1.00 s"},
		{Spread{1.5, 1.25, 2}, "1.50 s (1.25 to 2.00)"},
		{Spread{8, 8.01, 8.04}, "8.0 s"},
		{Spread{8, 4, 12.25}, "8.0 s (4.0 to 12.2)"},
	} {
		if got := tt.spread.Seconds(); got != tt.want {
			t.Errorf("%v is %q, want %q", tt.spread, got, tt.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	got := Summarize([]lab.Run{
		{Case: "a", Tool: "x", Wall: 1, Bound: 0.9, Efficiency: 0.9, Needed: 100, Served: 110, Wire: 150, Mirrors: []lab.MirrorStats{{Refused: 2}}},
		{Case: "a", Tool: "y", Wall: 9, Needed: 100, Error: "connection reset", Exit: 1},
		{Case: "a", Tool: "x", Wall: 3, Efficiency: 0.3, Needed: 100, Served: 100, Wire: 125},
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
	if x.Served == nil || *x.Served != (Spread{0.05, 0, 0.1}) {
		t.Errorf("x was served %v beyond the need, want 0 to 0.1", x.Served)
	}
	if x.Wire == nil || *x.Wire != (Spread{0.375, 0.25, 0.5}) {
		t.Errorf("x had %v beyond the need on the wire, want 0.25 to 0.5", x.Wire)
	}
	if x.Refused != (Spread{1, 0, 2}) {
		t.Errorf("x got %v answers with status 429, want 0 to 2", x.Refused)
	}
	if y.Failures != 1 || y.Error != "connection reset" || y.Wall.Median != 9 {
		t.Errorf("y is %+v, want its failure with the time that it took", y)
	}
	if y.Served != nil || y.Wire != nil {
		t.Errorf("y has %v and %v beyond the need, and nothing counted", y.Served, y.Wire)
	}
	const line = "a                 x        medians of 3: 2.00 s (1.00 to 3.00), efficiency 0.600 (0.300 to 0.900), " +
		"beyond the need: served 5.0 % (0.0 to 10.0), wire 37.5 % (25.0 to 50.0); 429s 1 (0 to 2); 1 failed"
	if x.String() != line {
		t.Errorf("x is\n%s, want\n%s", x, line)
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for ms := range time.Duration(200) {
		times = append(times, (200-ms)*time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{0.1: 1, 50: 100, 99: 198, 99.1: 199, 100: 200} {
		if got := Percentile(times, p); got != want*time.Millisecond {
			t.Errorf("the percentile %v of 1 to 200 ms is %v, want %d ms", p, got, want)
		}
	}
	if got := Percentile(times[:1], 99); got != 200*time.Millisecond {
		t.Errorf("the percentile of one time is %v", got)
	}
}

func TestFigures(t *testing.T) {
	if got := Figures(1, " s", 2, 1.04, 3); got != "2.0 s (1.0 to 3.0)" {
		t.Error(got)
	}
	if got := Figures(2, "", 2, 2.001); got != "2.00" {
		t.Error(got)
	}
}
