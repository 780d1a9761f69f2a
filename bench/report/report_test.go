package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/bench/lab"
)

func TestVerdict(t *testing.T) {
	goal := lab.Goal{Efficiency: 0.9, Waste: 0.02, Refused: 10}
	good := lab.Run{Wall: 2, Efficiency: 0.95, Needed: 100, Served: 101}
	tests := []struct {
		name string
		run  func(*lab.Run)
		want string
	}{
		{"all", func(*lab.Run) {}, "reached"},
		{"efficiency", func(r *lab.Run) { r.Efficiency = 0.8 }, "efficiency under 0.90"},
		{"waste on loopback", func(r *lab.Run) { r.Served = 110 }, "waste over 2 %"},
		{"waste on the wire", func(r *lab.Run) { r.Wire = 110 }, "waste over 2 %"},
		{"waste that no link forwarded", func(r *lab.Run) { r.Served, r.Wire = 110, 101 }, "reached"},
		{"429s", func(r *lab.Run) { r.Mirrors = []lab.MirrorStats{{Refused: 11}} }, "over 10 429s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := good
			tt.run(&run)
			if got := verdict(goal, run); !strings.Contains(got, tt.want) {
				t.Errorf("verdict is %q, want %q in it", got, tt.want)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	r := Results{
		Commit: "abc", Settings: map[string]string{"curl": "best mirror"}, Versions: map[string]string{"curl": "curl 8"},
		Summaries: Summarize([]lab.Run{
			{Case: "dying", Tool: "segpull", Wall: 2, Bound: 1.9, Efficiency: 0.95, Needed: 100, Served: 101},
			{Case: "dying", Tool: "curl", Wall: 3, Bound: 1.9, Needed: 100, Error: "a | b\nc", Exit: 56},
		}),
	}
	got := r.markdown()
	for _, want := range []string{"| seconds | bound | segpull | curl |\n|---|---|---|---|\n| dying: connections die after 1.5 to 2 MiB, 5 % of requests are answered 503 | 1.9 | 2.0 | fails |\n", "**dying: connections die after 1.5 to 2 MiB, 5 % of requests are answered 503**; lower bound 1.9 s", "| segpull | 2.00 s | 0.95 (0.95 to 0.95) | 1.0 % | – | 0 |", "1 of 1, exit 56: `a ¦ b c` |", "- curl: best mirror (curl 8)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	tools, err := lab.Tools(lab.Segpull, "curl")
	if err != nil {
		t.Fatal(err)
	}
	runs := []lab.Run{{Case: "dying", Tool: lab.Segpull, Wall: 2, Bound: 1.9}, {Case: "dying", Tool: lab.Segpull, Wall: 3, Bound: 1.9}}
	r := NewResults(runs, tools)
	if len(r.Settings) != 1 || r.Settings[lab.Segpull] == "" {
		t.Errorf("the settings are %v, want those of segpull, the only one that ran", r.Settings)
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results.md", "results.json", "time.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteTimeline(t *testing.T) {
	dir := t.TempDir()
	c := lab.Case{Name: "two", Mirrors: []lab.Mirror{{Name: "north", Rate: mib}}}
	run := lab.Run{Wall: 1, Mirrors: []lab.MirrorStats{{Name: "north"}}, Samples: served(0, mib, 2*mib)}
	if err := WriteTimeline(dir, c, run); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"timeline.svg", "throughput.svg"} {
		if picture, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(picture), "north") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WriteTimeline(dir, c, lab.Run{}); err == nil {
		t.Error("a run on real servers was drawn")
	}
}

func TestBaselineIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	written := NewBaseline([]Ratio{{"time by curl's", 2, true}})
	if err := written.Write(path); err != nil {
		t.Fatal(err)
	}
	if read, err := ReadBaseline(path); err != nil || read.Commit != written.Commit || read.Ratios[0] != written.Ratios[0] {
		t.Errorf("read %v, %v; want %v", read, err, written)
	}
}
