package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segpull/segpull/bench/lab"
)

// markdown is a table of the times, then one of all figures for each case, with
// the tools in the order in which they ran.
func (r Results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Commit %s, %s; %s. Medians, with the least and the greatest in parentheses.\n\n", r.Commit, r.Date, r.Machine)
	b.WriteString(r.overview())
	name := ""
	for _, s := range r.Summaries {
		if s.Case != name {
			name = s.Case
			fmt.Fprintf(&b, "\n**%s**", about(name))
			if s.Bound > 0 {
				fmt.Fprintf(&b, "; lower bound %.1f s", s.Bound)
			}
			b.WriteString("\n\n| tool | time | efficiency | served beyond the need | on the wire | 429s | CPU | memory | failed |\n|---|---|---|---|---|---|---|---|---|\n")
		}
		b.WriteString(s.row())
	}
	b.WriteString("\n" + r.tools())
	return b.String()
}

// overview is a row for each case, and a column for each tool.
func (r Results) overview() string {
	var names, with []string
	at := map[[2]string]Summary{}
	for _, s := range r.Summaries {
		if !slices.Contains(names, s.Case) {
			names = append(names, s.Case)
		}
		if !slices.Contains(with, s.Tool) {
			with = append(with, s.Tool)
		}
		at[[2]string{s.Case, s.Tool}] = s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| seconds | bound | %s |\n|---|%s\n", strings.Join(with, " | "), strings.Repeat("---|", len(with)+1))
	for _, name := range names {
		bound := "–"
		cells := make([]string, len(with))
		for i, tool := range with {
			s := at[[2]string{name, tool}]
			cells[i] = s.time()
			if s.Bound > 0 {
				bound = fmt.Sprintf("%.1f", s.Bound)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", about(name), bound, strings.Join(cells, " | "))
	}
	return b.String()
}

// time is the median, or that the tool fails.
func (s Summary) time() string {
	switch {
	case s.Runs == 0:
		return "–"
	case s.Failures == s.Runs:
		return "fails"
	case s.Failures > 0:
		return fmt.Sprintf("%.1f, fails %d of %d", s.Wall.Median, s.Failures, s.Runs)
	}
	return fmt.Sprintf("%.1f", s.Wall.Median)
}

func (s Summary) row() string {
	efficiency, served, wire, failed := "–", "–", "–", "–"
	succeeded := s.Failures < s.Runs
	if s.Bound > 0 && succeeded {
		efficiency = fmt.Sprintf("%.2f (%.2f to %.2f)", s.Efficiency.Median, s.Efficiency.Min, s.Efficiency.Max)
	}
	if succeeded {
		served, wire = s.Served.percent(), s.Wire.percent()
	}
	if s.Failures > 0 {
		failed = fmt.Sprintf("%d of %d, exit %d: %s", s.Failures, s.Runs, s.Exit, cell(s.Error))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %.0f | %.1f s | %.0f MiB | %s |\n",
		s.Tool, s.Wall.Seconds(), efficiency, served, wire, s.Refused.Median, s.CPU.Median, s.Peak.Median/mib, failed)
}

// cell quotes a message for a table.
func cell(message string) string {
	const most = 160
	if runes := []rune(message); len(runes) > most {
		message = string(runes[:most]) + "…"
	}
	return "`" + strings.NewReplacer("|", "¦", "`", "'", "\n", " ").Replace(message) + "`"
}

// tools lists the tools with their settings and versions.
func (r Results) tools() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		fmt.Fprintf(&b, "- %s: %s", name, r.Settings[name])
		if v := r.Versions[name]; v != "" {
			fmt.Fprintf(&b, " (%s)", v)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// about is a case's name with what it is.
func about(name string) string {
	c, err := lab.Cases(name)
	if err != nil {
		return name
	}
	return fmt.Sprintf("%s: %s", c[0].Name, c[0].About)
}
