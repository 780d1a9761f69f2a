package limits

import (
	"context"
	"io"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
)

// limits are the promises by name, in the order in which they are measured.
var limits = report.Table[*meter]{
	{Name: "local", Measure: (*meter).local},
	{Name: "mirrors", Measure: (*meter).mirrors},
	{Name: "rate", Measure: (*meter).rate},
	{Name: "program", Measure: (*meter).program},
}

// Names lists the limits that Measure knows.
func Names() []string { return limits.Names() }

// Check fails if there is no limit of one of these names.
func Check(names ...string) error { return limits.Check("no limit", names...) }

// Measure measures the limits of these names, or all of them, and writes a row
// for each promise. Rows are medians of several runs.
func Measure(ctx context.Context, w io.Writer, l *lab.Lab, runs int, names ...string) error {
	return limits.Measure(ctx, w, &meter{lab: l, runs: runs, w: w}, names...)
}

// meter measures, and writes the rows.
type meter struct {
	lab  *lab.Lab
	runs int
	w    io.Writer
}

func (m *meter) row(name, goal, format string, args ...any) {
	report.Row(m.w, name, goal, format, args...)
}

// one returns a case.
func one(name string) (lab.Case, error) {
	found, err := lab.Cases(name)
	if err != nil {
		return lab.Case{}, err
	}
	return found[0], nil
}
