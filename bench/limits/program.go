package limits

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/report"
)

// program is about the binary itself.
func (m *meter) program(ctx context.Context) error {
	size, err := fileSize(m.lab.Segpull)
	if err != nil {
		return err
	}
	m.row("the binary, stripped", "< 20 MiB", "%.1f MiB", float64(size)/mib)
	var starts []float64
	for range 20 {
		took, err := startTime(ctx, m.lab.Segpull)
		if err != nil {
			return err
		}
		starts = append(starts, float64(took)/float64(time.Millisecond))
	}
	s := report.SpreadOf(starts...)
	m.row("`segpull --version`", "< 30 ms", "%.0f ms (%.0f to %.0f)", s.Median, s.Min, s.Max)
	return nil
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// startTime measures a start that does nothing else.
func startTime(ctx context.Context, segpull string) (time.Duration, error) {
	u, err := program.Measure(ctx, program.Loopback{}, exec.Command(segpull, "--version"), 0, time.Minute)
	return u.Wall, err
}
