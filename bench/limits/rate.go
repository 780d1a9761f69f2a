package limits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
	"github.com/segpull/segpull/bench/weaknet"
)

// mirrors measures the efficiency over three mirrors of different rates.
func (m *meter) mirrors(ctx context.Context) error {
	c, err := one("uneven-3")
	if err != nil {
		return err
	}
	tools, err := lab.Tools(lab.Segpull)
	if err != nil {
		return err
	}
	runs, err := m.lab.Turns(ctx, c, tools, m.runs, func(lab.Run) {})
	if err != nil {
		return err
	}
	for _, s := range report.Summarize(runs) {
		m.row("mirrors of 2, 4 and 6 MiB/s: share of their sum", "≥ 0.90", "%.3f (%.3f to %.3f)",
			s.Efficiency.Median, s.Efficiency.Min, s.Efficiency.Max)
	}
	return nil
}

const (
	limit     = 2 * mib // bytes a second
	limitTime = 10 * time.Second
)

// fastLink is a network that is much faster than the limit.
func fastLink() lab.Case {
	const rate = 100e6 / 8
	return lab.Case{
		Name: "limit", TCP: true, Layers: []int64{limit * int64(limitTime/time.Second)},
		Link: weaknet.Link{Down: rate, Up: rate},
		Mirrors: []lab.Mirror{
			{Name: "a", Rate: rate, RTT: 20 * time.Millisecond},
			{Name: "b", Rate: rate, RTT: 40 * time.Millisecond},
		},
	}
}

// rate pulls for ten seconds under a limit, and counts at the user's end of the
// link.
func (m *meter) rate(ctx context.Context) error {
	tools, err := lab.Tools(lab.Segpull)
	if err != nil {
		return err
	}
	var mean, first, fullest []float64
	for range m.runs {
		run, err := m.lab.Run(ctx, fastLink(), tools[0].With("--limit-rate", fmt.Sprint(limit)))
		if err == nil && run.Failed() {
			err = errors.New(run.Error)
		}
		if err != nil {
			return err
		}
		mean = append(mean, float64(run.Needed)/run.Wall/limit)
		first = append(first, float64(run.ReceivedBy(time.Second))/limit)
		fullest = append(fullest, float64(run.FullestWindow(time.Second))/limit)
	}
	m.row("`--limit-rate 2M` for 10 s: mean rate divided by the limit", "0.97 to 1.03", "%.3f", report.SpreadOf(mean...).Median)
	m.row("the first second divided by the limit", "no burst", "%.3f", report.SpreadOf(first...).Median)
	m.row("the fullest second divided by the limit", "no burst", "%.3f", report.SpreadOf(fullest...).Median)
	return nil
}
