package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// quick is a case of half a second on loopback.
var quick = Case{
	Name: "quick", About: "for the tests", Layers: []int64{256 * kib, 128 * kib},
	Mirrors: []Mirror{
		{Name: "useless", Rate: 8 * mib, Useless: true, Faults: fault(registrytest.Status(503))},
		{Name: "good", Rate: mib, RTT: ms(10)},
	},
}

// TestRun lets curl fetch all blobs from the best mirror.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	r := &runner{dir: t.TempDir()}
	run, err := r.run(t.Context(), quick, toolsNamed("curl")[0])
	if err != nil {
		t.Fatal(err)
	}
	if run.failed() {
		t.Fatal(run.Error)
	}
	if run.Served != run.Needed || run.Mirrors[0].Served != 0 || run.waste() != 0 {
		t.Errorf("served %d of %d bytes, by mirrors %+v; want all from the good one", run.Served, run.Needed, run.Mirrors)
	}
	if run.Efficiency < 0.3 || run.Efficiency > 1.05 {
		t.Errorf("efficiency is %.2f of a bound of %.2f s", run.Efficiency, run.Bound)
	}
	last := run.samples[len(run.samples)-1]
	if last.user != run.Served || len(run.samples) < 3 {
		t.Errorf("%d samples that end at %d bytes, want several up to %d", len(run.samples), last.user, run.Served)
	}
}

// TestRunOfAToolThatFails is no error of the bench.
func TestRunOfAToolThatFails(t *testing.T) {
	r := &runner{dir: t.TempDir()}
	broken := Tool{Name: "broken", program: "sh", command: func(j job) (*exec.Cmd, error) {
		return exec.Command(j.program, "-c", "echo no route >&2; exit 3"), nil
	}}
	run, err := r.run(t.Context(), quick, broken)
	if err != nil {
		t.Skip(err)
	}
	if run.Error != "no route" || run.Exit != 3 || run.Efficiency != 0 {
		t.Errorf("run is %+v, want its failure", run)
	}
}

func TestMirrorThatHangs(t *testing.T) {
	c := Case{Layers: []int64{mib}, Mirrors: []Mirror{{Name: "hangs", Rate: 256 * kib, HangsAfter: 300 * time.Millisecond}}}
	r := &runner{dir: t.TempDir()}
	p, err := r.push(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := setUp(c, *p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.begin()
	j := job{repository: benchRepository, tag: benchTag, image: p.image, mirrors: s.mirrors}
	curl := exec.Command("curl", "--silent", "--max-time", "1", "--output", "/dev/null", j.best().blobURL(j, p.image.Layers[0]))
	if err := curl.Run(); err == nil {
		t.Error("the mirror answered to the end")
	}
	if served := s.mirrors[0].reg.Stats().Bytes; served < 32*kib || served > 160*kib {
		t.Errorf("served %d bytes in 0.3 s at 256 KiB/s", served)
	}
}

func TestBound(t *testing.T) {
	tests := []struct {
		name string
		c    Case
		want time.Duration
	}{
		{"the useless count for nothing", Case{Mirrors: []Mirror{{Rate: 10}, {Rate: 90, Useless: true}}}, 10 * time.Second},
		{"round trips", Case{RoundTrips: 3, Mirrors: []Mirror{{Rate: 100, RTT: time.Second}}}, 4 * time.Second},
		{"no limit but the machine", Case{Mirrors: []Mirror{{Name: "local"}}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.bound(100); got != tt.want {
				t.Errorf("bound = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCasesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range append(cases, profiles...) {
		if c.Name == "" || c.About == "" || len(c.Layers) == 0 || len(c.Mirrors) == 0 || seen[c.Name] {
			t.Errorf("case %q is incomplete or there twice", c.Name)
		}
		seen[c.Name] = true
		if !c.TCP && c.Link.Down != 0 {
			t.Errorf("case %q: nobody plays the user's link on loopback", c.Name)
		}
	}
	for _, name := range append(append(misbehaving, checked...), shown, shownLoopback) {
		if !seen[name] {
			t.Errorf("no case %q", name)
		}
	}
}

func TestVerdict(t *testing.T) {
	goal := Goal{Efficiency: 0.9, Waste: 0.02, Refused: 10, Beats: 1.5}
	good := Run{Wall: 2, Efficiency: 0.95, Needed: 100, Served: 101}
	tests := []struct {
		name string
		run  func(*Run)
		want string
	}{
		{"all", func(*Run) {}, "reached (2.00 × aria2c)"},
		{"efficiency", func(r *Run) { r.Efficiency = 0.8 }, "efficiency under 0.90"},
		{"waste", func(r *Run) { r.Served = 110 }, "waste over 2 %"},
		{"429s", func(r *Run) { r.Mirrors = []MirrorStats{{Refused: 11}} }, "over 10 429s"},
		{"rival", func(r *Run) { r.Wall = 4 }, "under 1.5 × aria2c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := good
			tt.run(&run)
			if got := goal.verdict(run, 4); !strings.Contains(got, tt.want) {
				t.Errorf("verdict is %q, want %q in it", got, tt.want)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	r := Results{
		Commit: "abc", Settings: map[string]string{"curl": "best mirror"}, Versions: map[string]string{"curl": "curl 8"},
		Summaries: summarize([]Run{
			{Case: "quick", Tool: "segpull", Wall: 2, Bound: 1.9, Efficiency: 0.95, Needed: 100, Served: 101},
			{Case: "quick", Tool: "curl", Wall: 3, Bound: 1.9, Needed: 100, Error: "a | b\nc", Exit: 56},
		}),
	}
	got := r.markdown(func(name string) string { return "About " + name })
	for _, want := range []string{"| seconds | bound | segpull | curl |\n|---|---|---|---|\n| About quick | 1.9 | 2.0 | fails |\n", "**About quick**; lower bound 1.9 s", "| segpull | 2.0 s | 0.95 | 1.0 % |", "1 of 1, exit 56: `a ¦ b c` |", "- curl: best mirror (curl 8)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestVersion(t *testing.T) {
	dir := t.TempDir()
	for said, want := range map[string]string{
		"aria2 version 1.36.0\\nCopyright 2006": "aria2 version 1.36.0",
		"VCSTag:     v0.11.7\\nVCSRef: unknown": "VCSTag: v0.11.7",
		"Docker version 28.2.2, build e6534b4":  "Docker version 28.2.2",
		"a program that does not know":          "unknown",
	} {
		program := filepath.Join(dir, "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '"+said+"\\n'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := version(program); got != want {
			t.Errorf("version of %q is %q, want %q", said, got, want)
		}
	}
}
