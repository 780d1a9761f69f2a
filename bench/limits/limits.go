package limits

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/segpull/segpull/bench/lab"
)

// limits are the promises by name, in the order in which they are measured.
var limits = []struct {
	name    string
	measure func(*meter, context.Context) error
}{
	{"local", (*meter).local},
	{"mirrors", (*meter).mirrors},
	{"rate", (*meter).rate},
	{"program", (*meter).program},
}

// Names lists the limits that Measure knows.
func Names() (names []string) {
	for _, l := range limits {
		names = append(names, l.name)
	}
	return names
}

// Check fails if there is no limit of one of these names.
func Check(names ...string) error {
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("no limit %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// Measure measures the limits of these names, or all of them, and writes a row
// for each promise. Rows are medians of several runs.
func Measure(ctx context.Context, w io.Writer, l *lab.Lab, runs int, names ...string) error {
	m := &meter{lab: l, runs: runs, w: w}
	fmt.Fprintln(w, "| | goal | measured |\n|---|---|---|")
	for _, limit := range limits {
		if len(names) > 0 && !slices.Contains(names, limit.name) {
			continue
		}
		if err := limit.measure(m, ctx); err != nil {
			return fmt.Errorf("%s: %w", limit.name, err)
		}
	}
	return nil
}

// meter measures, and writes the rows.
type meter struct {
	lab  *lab.Lab
	runs int
	w    io.Writer
}

func (m *meter) row(name, goal, format string, args ...any) {
	fmt.Fprintf(m.w, "| %s | %s | %s |\n", name, goal, fmt.Sprintf(format, args...))
}

// one returns a case.
func one(name string) (lab.Case, error) {
	found, err := lab.Cases(name)
	if err != nil {
		return lab.Case{}, err
	}
	return found[0], nil
}
