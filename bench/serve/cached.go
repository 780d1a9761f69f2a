package serve

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/bench/report"
)

const (
	cachedSize = 1 << 30
	// curlTime is how long curl may take for it.
	curlTime = time.Minute
)

// cached lets curl fetch a blob of a GiB that the servers have.
func (m *meter) cached(ctx context.Context) error {
	if !m.has("curl") {
		return nil
	}
	return m.withWarm(ctx, cachedSize, func(servers []warm) error {
		wall, processor := make([][]float64, len(servers)), make([][]float64, len(servers))
		for turn := range m.runs + 1 {
			for i, s := range servers {
				took, used, err := fetch(ctx, s)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				if turn > 0 { // the first one fills the kernel's cache
					wall[i] = append(wall[i], took.Seconds())
					processor[i] = append(processor[i], used.Seconds())
				}
			}
		}
		for i, s := range servers {
			m.row("a cached blob of 1 GiB by curl, from "+s.name, "-", "%s, %s of the server's processor time",
				report.Figures(2, " s", wall[i]...), report.Figures(2, " s", processor[i]...))
		}
		for i, s := range servers[1:] {
			m.row("speed of segpull serve divided by that of "+s.name, goalOf(s, "≥ 1.0"), "%s", report.Figures(2, "", ratios(wall[i+1], wall[0])...))
			m.row("its processor time divided by that of "+s.name, goalOf(s, "< 1.0"), "%s", report.Figures(2, "", ratios(processor[0], processor[i+1])...))
		}
		return nil
	})
}

// goalOf is the goal beside a peer: nginx is shown as what the machine allows.
func goalOf(s warm, goal string) string {
	if s.name == "nginx" {
		return "-"
	}
	return goal
}

// fetch fetches the blob by curl, and measures curl's time and the server's
// processor time.
func fetch(ctx context.Context, s warm) (took, used time.Duration, err error) {
	before := program.CPUTime(s.pid)
	curl := exec.Command("curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", s.url)
	u, err := program.Measure(ctx, program.Loopback{}, curl, 0, curlTime)
	if err == nil && u.Err != "" {
		err = errors.New(u.Err)
	}
	return u.Wall, program.CPUTime(s.pid) - before, err
}
