package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	tests := []struct {
		name string
		svg  string
		want []string
	}{
		{
			"bars",
			Bars{Title: "Time & tools", Unit: "s", Groups: []Group{
				{Label: "home", Mark: 5, Bars: []Bar{{Label: "a", Value: 10, Min: 9, Max: 12}, {Label: "b", Failed: "reset <by> peer"}}},
				{Label: "nothing", Bars: nil},
			}}.SVG(),
			[]string{"Time &amp; tools", "10.0 s", "failed: reset &lt;by&gt; peer"},
		},
		{
			"lanes",
			Lanes{Title: "One pull", End: 4, Lanes: []Lane{
				{Label: "north", Spans: []Span{{From: 0, First: 1, To: 2, Title: "4 MiB"}, {Row: 1, From: 1, First: 1, To: 3, Broken: true}}},
				{Label: "idle", Stalls: []Stall{{From: 1, To: 4}}},
			}}.SVG(),
			[]string{"north", "edge", "stall", "<title>4 MiB</title>"},
		},
		{
			"area",
			Area{Title: "Throughput", Unit: "MiB/s", Step: 1, Mark: []float64{6, 6, 4}, Series: []Series{
				{Label: "north", Values: []float64{1, 2, 3}},
				{Label: "south", Values: []float64{1}},
			}}.SVG(),
			[]string{"north", "south", `class="mark"`},
		},
		{"an area of nothing", Area{}.SVG(), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wellFormed(t, tt.svg)
			for _, want := range append(tt.want, "prefers-color-scheme: dark") {
				if !strings.Contains(tt.svg, want) {
					t.Errorf("%q is missing in\n%s", want, tt.svg)
				}
			}
			if strings.Contains(tt.svg, "NaN") || strings.Contains(tt.svg, "Inf") {
				t.Errorf("a coordinate is not a number in\n%s", tt.svg)
			}
		})
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTick(t *testing.T) {
	for length, want := range map[float64]float64{1: 0.2, 4: 1, 10: 2, 12: 2, 19: 2, 20: 5, 60: 10, 0: 1} {
		if got := tick(length); got != want {
			t.Errorf("tick(%g) = %g, want %g", length, got, want)
		}
	}
}
