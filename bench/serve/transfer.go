package serve

import (
	"context"
	"errors"
	"time"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
	"github.com/segpull/segpull/internal/registrytest"
)

// uneven are three mirrors, and an image that they can send in six seconds.
func uneven() lab.Case {
	return lab.Case{
		Name: "serve", Layers: []int64{60 * mib, 27 * mib, 12 * mib, 3 * mib},
		Mirrors: []lab.Mirror{
			{Name: "a", Rate: 3 * mib, RTT: 20 * time.Millisecond},
			{Name: "b", Rate: 5 * mib, RTT: 20 * time.Millisecond},
			{Name: "c", Rate: 9 * mib, RTT: 20 * time.Millisecond},
		},
	}
}

// transfer lets clients pull through the server, in turns with the same clients
// that pull from the best mirror alone.
func (m *meter) transfer(ctx context.Context) error {
	for _, name := range []string{"crane", "docker"} {
		programs := map[string][]string{"crane": {"crane"}, "docker": {"docker", "dockerd"}}[name]
		if !m.hasAll(programs) {
			continue
		}
		if err := m.transferTo(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (m *meter) hasAll(programs []string) bool {
	for _, p := range programs {
		if !m.has(p) {
			return false
		}
	}
	return true
}

func (m *meter) transferTo(ctx context.Context, name string) error {
	tools, err := lab.Tools(name)
	if err != nil {
		return err
	}
	alone, through := tools[0], lab.Through(tools[0])
	runs, err := m.lab.Turns(ctx, uneven(), []lab.Tool{alone, through}, m.runs, func(lab.Run) {})
	if err != nil {
		return err
	}
	best, err := timesOf(runs, alone.Name)
	if err != nil {
		return err
	}
	all, err := timesOf(runs, through.Name)
	if err != nil {
		return err
	}
	if len(best.whole) != m.runs || len(all.whole) != m.runs {
		return errors.New(name + " could not run in each turn")
	}
	m.row(name+" through serve from 3, 5 and 9 MiB/s: blobs' transfer, share of the sum", "≥ 0.90", "%s", report.Figures(2, "", ratios(all.bound, all.transfer)...))
	m.row("the same from the first to the last byte of the command", "-", "%s", report.Figures(2, "", ratios(all.bound, all.whole)...))
	m.row("transfer from the best mirror alone, divided by that through serve", "≥ 1.6", "%s", report.Figures(2, "", ratios(best.transfer, all.transfer)...))
	m.row("the whole command: alone, and through serve", "-", "%s, %s", report.Figures(1, " s", best.whole...), report.Figures(1, " s", all.whole...))
	m.row("mirrors' bytes divided by the need: alone, and through serve", "-", "%s, %s", report.Figures(3, "", best.served...), report.Figures(3, "", all.served...))
	return nil
}

// times are the seconds of several runs, and the bytes that mirrors served as
// shares of the need.
type times struct{ bound, transfer, whole, served []float64 }

// timesOf fails if a run of the tool failed.
func timesOf(runs []lab.Run, tool string) (t times, err error) {
	for _, run := range runs {
		if run.Tool != tool {
			continue
		}
		if run.Failed() {
			return t, errors.New(tool + ": " + run.Error)
		}
		t.bound = append(t.bound, run.Bound)
		t.transfer = append(t.transfer, transferTime(run).Seconds())
		t.whole = append(t.whole, run.Wall)
		t.served = append(t.served, float64(run.Served)/float64(run.Needed))
	}
	return t, nil
}

// transferTime is the time from the first request for a blob at a mirror until the
// last byte of a blob that one sent.
func transferTime(run lab.Run) time.Duration {
	var first, last time.Time
	for _, m := range run.Mirrors {
		for _, r := range m.Log {
			if r.Kind != registrytest.KindBlob {
				continue
			}
			if first.IsZero() || r.Arrived.Before(first) {
				first = r.Arrived
			}
			if r.Done.After(last) {
				last = r.Done
			}
		}
	}
	return last.Sub(first)
}
