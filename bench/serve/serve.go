package serve

import (
	"context"
	"io"
	"os/exec"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
)

const (
	mib = 1 << 20

	// repository and tag name the image that clients of this package pull.
	repository = "library/bench"
	tag        = "1"
)

// goals by name, in the order in which they are measured.
var goals = report.Table[*meter]{
	{Name: "transfer", Measure: (*meter).transfer},
	{Name: "cached", Measure: (*meter).cached},
	{Name: "clients", Measure: (*meter).clients},
	{Name: "first-byte", Measure: (*meter).firstByte},
	{Name: "many-blobs", Measure: (*meter).many},
}

// Names lists the goals that Measure knows.
func Names() []string { return goals.Names() }

// Check fails if there is no goal of one of these names.
func Check(names ...string) error { return goals.Check("serve has no goal", names...) }

// Measure measures the goals of these names, or all of them, and writes the rows
// of a table. Each figure is from as many runs, at least 1.
func Measure(ctx context.Context, w io.Writer, l *lab.Lab, runs int, names ...string) error {
	return goals.Measure(ctx, w, &meter{lab: l, runs: runs, w: w, missing: map[string]bool{}}, names...)
}

// meter measures, and writes the rows.
type meter struct {
	lab  *lab.Lab
	runs int
	w    io.Writer

	missing map[string]bool // programs with a row that says so
}

func (m *meter) row(name, goal, format string, args ...any) {
	report.Row(m.w, name, goal, format, args...)
}

// has reports whether a program is installed, and writes one row if it is not.
func (m *meter) has(name string) bool {
	_, err := exec.LookPath(name)
	if err != nil && !m.missing[name] {
		m.missing[name] = true
		m.row(name, "-", "missing: not installed")
	}
	return err == nil
}

// ratios divides each number by that of the same turn.
func ratios(of, by []float64) (all []float64) {
	for i := range of {
		all = append(all, of[i]/by[i])
	}
	return all
}
