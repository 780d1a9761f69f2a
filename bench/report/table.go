package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Table is a table of goals and of what was measured, in the order of its rows. An M
// measures and writes them.
type Table[M any] []Part[M]

// Part is the rows that are measured together.
type Part[M any] struct {
	Name    string
	Measure func(m M, ctx context.Context) error
}

// Names lists the names of the parts.
func (t Table[M]) Names() (names []string) {
	for _, p := range t {
		names = append(names, p.Name)
	}
	return names
}

// Check fails if there is no part of one of these names. The error begins with unknown,
// such as "no limit".
func (t Table[M]) Check(unknown string, names ...string) error {
	for _, name := range names {
		if !slices.Contains(t.Names(), name) {
			return fmt.Errorf("%s %q; there are %s", unknown, name, strings.Join(t.Names(), ", "))
		}
	}
	return nil
}

// Measure writes the head of the table to w, and measures the parts of these names, or
// all of them.
func (t Table[M]) Measure(ctx context.Context, w io.Writer, m M, names ...string) error {
	fmt.Fprintln(w, "| | goal | measured |\n|---|---|---|")
	for _, p := range t {
		if len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		if err := p.Measure(m, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// Row writes a row of a Table to w.
func Row(w io.Writer, name, goal, format string, args ...any) {
	fmt.Fprintf(w, "| %s | %s | %s |\n", name, goal, fmt.Sprintf(format, args...))
}
