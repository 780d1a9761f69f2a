package limits

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
)

const mib = 1 << 20

// local pulls 1 GiB from a registry on this machine, in turns with the peers
// and with the parts of a pull.
func (m *meter) local(ctx context.Context) error {
	c, err := one(lab.Local)
	if err != nil {
		return err
	}
	tools, err := lab.Tools(lab.Segpull, "crane", "regctl", "curl")
	if err != nil {
		return err
	}
	var all []lab.Run
	var floors floorTimes
	for turn := range m.runs {
		runs, err := m.lab.Turns(ctx, c, tools, 1, func(lab.Run) {})
		if err != nil {
			return err
		}
		for _, run := range runs {
			run.Turn = turn
			all = append(all, run)
		}
		f, err := m.lab.Floors(ctx, c)
		if err != nil {
			return err
		}
		floors.add(f)
	}
	return m.localRows(report.Summarize(all), report.Races(c, all), floors)
}

// floorTimes are the seconds of several floors.
type floorTimes struct{ hash, copied, bare []float64 }

func (t *floorTimes) add(f lab.Floors) {
	t.hash = append(t.hash, f.Hash.Seconds())
	t.copied = append(t.copied, f.Copy.Seconds())
	t.bare = append(t.bare, f.Bare.Seconds())
}

func (m *meter) localRows(tools []report.Summary, races []report.Race, floors floorTimes) error {
	times := map[string]float64{}
	for _, s := range tools {
		if s.Failures > 0 {
			return errors.New(s.Error)
		}
		times[s.Tool] = s.Wall.Median
		memory := "-"
		if s.Tool == lab.Segpull {
			memory = "under 64 MiB"
		}
		m.row("1 GiB from a local docker-registry, with fsync: "+s.Tool, memory, "%s, %s CPU, %.0f MiB of memory",
			s.Wall.Seconds(), s.CPU.Seconds(), s.Peak.Median/mib)
	}
	hash, copied, bare := report.SpreadOf(floors.hash...), report.SpreadOf(floors.copied...), report.SpreadOf(floors.bare...)
	m.row("SHA-256 alone, a core for each layer", "-", "%s", hash.Seconds())
	m.row("file copy and fsync", "-", "%s", copied.Seconds())
	m.row("a bare loop: GET into SHA-256 and a file, fsync", "-", "%s", bare.Seconds())
	slowest := max(times["curl"], hash.Median, copied.Median)
	for _, r := range races {
		m.row("segpull divided by the fastest of "+strings.Join(r.Others, ", "), fmt.Sprintf("≤ %.2f", r.Goal),
			"%.2f (%.2f to %.2f by turn)", r.Share, r.Turns.Min, r.Turns.Max)
	}
	m.row("segpull divided by the slowest of curl, SHA-256 and copy", "≤ 1.1", "%.2f", times[lab.Segpull]/slowest)
	m.row("segpull divided by the bare loop", "-", "%.2f", times[lab.Segpull]/bare.Median)
	return nil
}
