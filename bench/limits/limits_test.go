package limits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
	"github.com/segpull/segpull/internal/needs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	if err := Check(Names()...); err != nil {
		t.Error(err)
	}
	if err := Check("local", "nothing"); err == nil || !strings.Contains(err.Error(), "there are local") {
		t.Errorf("an unknown limit: %v", err)
	}
}

// TestMeasureTheProgram measures a script in the place of segpull.
func TestMeasureTheProgram(t *testing.T) {
	script := filepath.Join(t.TempDir(), "segpull")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Measure(t.Context(), &out, &lab.Lab{Segpull: script}, 1, "program"); err != nil {
		needs.Lack(t, err.Error())
	}
	for _, want := range []string{"| the binary, stripped | < 20 MiB | 0.0 MiB |", "--version` | < 30 ms |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestLocalRows(t *testing.T) {
	spread := report.SpreadOf
	tools := []report.Summary{{Tool: lab.Segpull, Wall: spread(3)}, {Tool: "curl", Wall: spread(1)}}
	races := []report.Race{{Others: []string{"crane", "regctl"}, Share: 0.75, Turns: spread(0.7, 0.8), Goal: 0.9}}
	var out strings.Builder
	m := &meter{w: &out}
	if err := m.localRows(tools, races, floorTimes{hash: []float64{2}, copied: []float64{1}, bare: []float64{4}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fastest of crane, regctl | ≤ 0.90 | 0.75 (0.70 to 0.80 by turn) |", "SHA-256 and copy | ≤ 1.1 | 1.50 |", "bare loop | - | 0.75 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	tools[1].Failures, tools[1].Error = 1, "reset"
	if err := m.localRows(tools, races, floorTimes{}); err == nil {
		t.Error("a tool failed, and there is no error")
	}
}
