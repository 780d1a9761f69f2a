package serve

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

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
var goals = []struct {
	name    string
	measure func(*meter, context.Context) error
}{
	{"transfer", (*meter).transfer},
	{"cached", (*meter).cached},
	{"clients", (*meter).clients},
	{"first-byte", (*meter).firstByte},
}

// Names lists the goals that Measure knows.
func Names() (names []string) {
	for _, g := range goals {
		names = append(names, g.name)
	}
	return names
}

// Check fails if there is no goal of one of these names.
func Check(names ...string) error {
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("serve has no goal %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// Measure measures the goals of these names, or all of them, and writes the rows
// of a table. Each figure is from as many runs, at least 1.
func Measure(ctx context.Context, w io.Writer, l *lab.Lab, runs int, names ...string) error {
	m := &meter{lab: l, runs: runs, w: w, missing: map[string]bool{}}
	fmt.Fprintln(w, "| | goal | measured |\n|---|---|---|")
	for _, goal := range goals {
		if len(names) > 0 && !slices.Contains(names, goal.name) {
			continue
		}
		if err := goal.measure(m, ctx); err != nil {
			return fmt.Errorf("%s: %w", goal.name, err)
		}
	}
	return nil
}

// meter measures, and writes the rows.
type meter struct {
	lab  *lab.Lab
	runs int
	w    io.Writer

	missing map[string]bool // programs with a row that says so
}

func (m *meter) row(name, goal, format string, args ...any) {
	fmt.Fprintf(m.w, "| %s | %s | %s |\n", name, goal, fmt.Sprintf(format, args...))
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

// figures formats numbers with their median and, if they differ, their ends.
func figures(decimals int, unit string, values ...float64) string {
	s := report.SpreadOf(values...)
	number := func(v float64) string { return fmt.Sprintf("%.*f", decimals, v) }
	text := number(s.Median) + unit
	if number(s.Min) != number(s.Max) {
		text += fmt.Sprintf(" (%s to %s)", number(s.Min), number(s.Max))
	}
	return text
}

// ratios divides each number by that of the same turn.
func ratios(of, by []float64) (all []float64) {
	for i := range of {
		all = append(all, of[i]/by[i])
	}
	return all
}
