package report

import (
	"strings"
	"testing"
)

func TestCompareBaseline(t *testing.T) {
	before := Baseline{Commit: "abc", Ratios: []Ratio{
		{Name: "efficiency", Value: 0.90},
		{Name: "time by curl's", Value: 2, Lower: true},
	}}
	tests := []struct {
		name string
		now  []Ratio
		want []string
	}{
		{"the same", before.Ratios, []string{"as before", "0 of 2 got slower"}},
		{"within the tolerance", []Ratio{{"efficiency", 0.88, false}, {"time by curl's", 2.05, true}}, []string{"0 of 2"}},
		{"less efficient", []Ratio{{"efficiency", 0.45, false}, {"time by curl's", 2, true}}, []string{"SLOWER by 100 %", "1 of 2"}},
		{"takes longer", []Ratio{{"efficiency", 0.9, false}, {"time by curl's", 3, true}}, []string{"SLOWER by 50 %", "1 of 2"}},
		{"faster", []Ratio{{"efficiency", 0.9, false}, {"time by curl's", 1, true}}, []string{"faster by 50 %", "0 of 2"}},
		{"one is not measured", []Ratio{{"efficiency", 0.9, false}}, []string{"not measured now"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			report := before.Compare(Baseline{Ratios: tt.now})
			for _, want := range tt.want {
				if !strings.Contains(report, want) {
					t.Errorf("%q is missing in\n%s", want, report)
				}
			}
		})
	}
}
