package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/report"
)

const (
	askers = 200 // clients at once
	rounds = 5   // requests of each in a run, one after the other
)

// firstByte measures the time until the first byte of a cached blob, with 200
// clients that fetch all of it: of a small one, where requests are the load, and
// of a larger one, where bytes are.
func (m *meter) firstByte(ctx context.Context) error {
	if err := m.firstByteOf(ctx, 64<<10, "64 KiB"); err != nil {
		return err
	}
	return m.firstByteOf(ctx, mib, "1 MiB")
}

func (m *meter) firstByteOf(ctx context.Context, size int64, words string) error {
	return m.withWarm(ctx, size, func(servers []warm) error {
		middle, late, together := make([][]float64, len(servers)), make([][]float64, len(servers)), make([][]float64, len(servers))
		for range m.runs {
			for i, s := range servers {
				started := time.Now()
				times, err := askTogether(ctx, s.url)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				together[i] = append(together[i], float64(len(times))*float64(size)/mib/time.Since(started).Seconds())
				middle[i] = append(middle[i], milliseconds(report.Percentile(times, 50)))
				late[i] = append(late[i], milliseconds(report.Percentile(times, 99)))
			}
		}
		for i, s := range servers {
			goal := "-"
			if s.name == segpullServe {
				goal = "p99 < 100 ms"
			}
			m.row("first byte of a cached blob of "+words+", 200 clients, from "+s.name, goal, "p99 %s, p50 %s; all together %s",
				report.Figures(0, " ms", late[i]...), report.Figures(0, " ms", middle[i]...), report.Figures(0, " MiB/s", together[i]...))
		}
		return nil
	})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// askTogether lets all clients fetch a blob, and returns the times until its first
// byte.
func askTogether(ctx context.Context, url string) ([]time.Duration, error) {
	times := make([]time.Duration, askers*rounds)
	group, ctx := errgroup.WithContext(ctx)
	for i := range askers {
		group.Go(func() error {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for round := range rounds {
				took, err := ask(ctx, c, url)
				if err != nil {
					return err
				}
				times[i*rounds+round] = took
			}
			return nil
		})
	}
	return times, group.Wait()
}

// ask fetches a blob, and returns the time until its first byte.
func ask(ctx context.Context, c *http.Client, url string) (first time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		return 0, err
	}
	first = time.Since(started)
	_, err = io.Copy(io.Discard, resp.Body)
	return first, err
}
