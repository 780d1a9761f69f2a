package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/bench/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"demo", "extra"},
		{"cases", "nowhere"},
		{"cases", "-nonsense"},
		{"cases", "-list", "nowhere"},
		{"cases", "-tools", "wget"},
		{"cases", "-timeline", "nowhere"},
		{"cases", "-against", "nowhere"},
		{"limits", "nothing"},
		{"serve", "nothing"},
		{"serve", "-runs", "0"},
		{"fleet", "nothing"},
		{"fleet", "-nodes", "0"},
		{"fleet", "-servers", "1,none"},
		{"fleet", "-sim-tb", "0"},
		{"corrupt", "nothing"},
		{"check", "extra"},
		{"soak", "extra"},
	} {
		var usage usageError
		if err := run(t.Context(), args, io.Discard); !errors.As(err, &usage) || exitCode(err) != 2 {
			t.Errorf("bench %q: %v, want a mistake in usage", args, err)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"-h"}} {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err != nil {
			t.Errorf("bench %q: %v", args, err)
		}
		for _, c := range commands {
			if !strings.Contains(out.String(), "\n  "+c.name+" ") {
				t.Errorf("bench %q does not list %s", args, c.name)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		timeline string
		names    []string
		want     string
	}{
		{"", []string{"dying"}, "dying"},
		{"dying", nil, "dying"},
		{"dying", []string{"capped"}, "capped dying"},
		{"dying", []string{"dying", "capped"}, "dying capped"},
	} {
		c := comparison{timeline: tt.timeline}
		if err := c.choose(tt.names, lab.Segpull); err != nil {
			t.Error(err)
		}
		var got []string
		for _, chosen := range c.cases {
			got = append(got, chosen.Name)
		}
		if strings.Join(got, " ") != tt.want || len(c.tools) != 1 {
			t.Errorf("timeline %q of %q: runs %q by %d tools", tt.timeline, tt.names, got, len(c.tools))
		}
	}
	if c := (comparison{}); c.choose(nil, "") != nil || len(c.cases) < 10 {
		t.Errorf("without names, %d cases run", len(c.cases))
	}
}

func TestToolsFor(t *testing.T) {
	program := filepath.Join(t.TempDir(), "segpull")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var c comparison
	if err := c.compareWith(program); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range c.toolsFor(lab.Case{Goal: lab.Goal{Rivals: []string{lab.Segpull}}}) {
		names = append(names, tool.Name)
	}
	if got := strings.Join(names, " "); got != "segpull segpull before" {
		t.Errorf("the tools are %s, want the rival first and the other segpull last", got)
	}
}

func TestChecked(t *testing.T) {
	if _, err := lab.Cases(checked...); err != nil {
		t.Error(err)
	}
}
