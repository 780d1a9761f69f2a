package report

import (
	"encoding/json"
	"fmt"
	"os"
)

// Baseline contains ratios, which are the same on every machine: efficiencies,
// and times relative to those of curl in the same run.
type Baseline struct {
	Commit string  `json:"commit"`
	Ratios []Ratio `json:"ratios"`
}

// Ratio is one of a baseline's.
type Ratio struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Lower says that less is better.
	Lower bool `json:"lower_is_better,omitempty"`
}

// tolerance is the share by which runs of the same program differ.
const tolerance = 0.05

// NewBaseline makes a baseline of this checkout.
func NewBaseline(ratios []Ratio) Baseline { return Baseline{commit(), ratios} }

// ReadBaseline reads what Write has written.
func ReadBaseline(path string) (b Baseline, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(content, &b); err != nil {
		return b, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Write writes the baseline as JSON.
func (b Baseline) Write(path string) error { return writeJSON(path, b) }

// Compare says of each ratio whether it is better or worse now.
func (b Baseline) Compare(now Baseline) (report string) {
	slower := 0
	for _, was := range b.Ratios {
		is, measured := now.ratio(was.Name)
		if !measured {
			report += fmt.Sprintf("%-28s %.3f at %s, not measured now\n", was.Name, was.Value, b.Commit)
			continue
		}
		verdict, worse := was.compare(is)
		if worse {
			slower++
		}
		report += fmt.Sprintf("%-28s %.3f, was %.3f at %s: %s\n", was.Name, is.Value, was.Value, b.Commit, verdict)
	}
	return report + fmt.Sprintf("%d of %d got slower.\n", slower, len(b.Ratios))
}

func (b Baseline) ratio(name string) (Ratio, bool) {
	for _, r := range b.Ratios {
		if r.Name == name {
			return r, true
		}
	}
	return Ratio{}, false
}

func (r Ratio) compare(now Ratio) (verdict string, worse bool) {
	switch loss := r.loss(now); {
	case now.Value == 0:
		return "FAILED", true
	case loss > tolerance:
		return fmt.Sprintf("SLOWER by %.0f %%", 100*loss), true
	case loss < -tolerance:
		return fmt.Sprintf("faster by %.0f %%", -100*loss), false
	}
	return "as before", false
}

// loss is the share of time by which the later ratio is worse.
func (r Ratio) loss(later Ratio) float64 {
	if r.Lower {
		return later.Value/r.Value - 1
	}
	return r.Value/later.Value - 1
}
