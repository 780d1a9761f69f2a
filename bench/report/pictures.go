package report

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/segpull/segpull/bench/chart"
	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/internal/registrytest"
)

// WriteTimeline draws a run, of a case without real servers, as timeline.svg and
// throughput.svg in a directory.
func WriteTimeline(dir string, c lab.Case, run lab.Run) error {
	if len(run.Mirrors) == 0 {
		return fmt.Errorf("no timeline of %s: its servers are real, and do not log requests", c.Name)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "timeline.svg"), []byte(timelinePicture(run).SVG()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "throughput.svg"), []byte(throughputPicture(c, run).SVG()), 0o644)
}

// timePicture is the time of each tool on each network, with the lower bound.
func timePicture(summaries []Summary) chart.Bars {
	picture := chart.Bars{Title: "Time to pull, by network and tool; the dashed line is the lower bound", Unit: "s"}
	for _, s := range summaries {
		if n := len(picture.Groups); n == 0 || picture.Groups[n-1].Label != about(s.Case) {
			picture.Groups = append(picture.Groups, chart.Group{Label: about(s.Case), Mark: s.Bound})
		}
		group := &picture.Groups[len(picture.Groups)-1]
		bar := chart.Bar{Label: s.Tool, Value: s.Wall.Median, Min: s.Wall.Min, Max: s.Wall.Max}
		if s.Failures == s.Runs {
			bar.Failed = s.Error
		}
		group.Bars = append(group.Bars, bar)
	}
	return picture
}

// timelinePicture is one pull: which mirror served which request, and when.
func timelinePicture(run lab.Run) chart.Lanes {
	picture := chart.Lanes{
		Title: fmt.Sprintf("One pull of %s in %.1f s: which mirror served what, and when", inMiB(run.Needed), run.Wall),
		End:   run.Wall,
	}
	for i, m := range run.Mirrors {
		lane := chart.Lane{Label: m.Name, Spans: spans(m.Log, run.Started, run.Wall)}
		lane.Stalls = stalls(run.Samples, i, lane.Spans)
		picture.Lanes = append(picture.Lanes, lane)
	}
	return picture
}

// spans puts a mirror's requests for blobs into as few rows as possible.
func spans(log []registrytest.Request, started time.Time, end float64) (all []chart.Span) {
	seconds := func(t time.Time) float64 {
		if t.IsZero() {
			return end // not answered, or not to the end
		}
		return min(t.Sub(started).Seconds(), end)
	}
	var free []float64 // when each row ends
	for _, r := range log {
		if r.Kind != registrytest.KindBlob {
			continue
		}
		s := chart.Span{
			From:   seconds(r.Arrived),
			First:  seconds(r.FirstByte),
			To:     seconds(r.Done),
			Broken: r.Status >= 400 || (r.End > r.Start && r.Bytes < r.End-r.Start),
			Title:  fmt.Sprintf("%s of %.19s…, status %d, %s", r.Range, r.Reference, r.Status, inMiB(r.Bytes)),
		}
		for s.Row < len(free) && free[s.Row] > s.From {
			s.Row++
		}
		if s.Row == len(free) {
			free = append(free, 0)
		}
		free[s.Row] = s.To
		all = append(all, s)
	}
	return all
}

// stallTime is the least length of a stall, in seconds.
const stallTime = 1.0

// stalls are the times in which a mirror had requests to answer and sent
// nothing.
func stalls(samples []lab.Sample, mirror int, asked []chart.Span) (all []chart.Stall) {
	busy := func(at float64) bool {
		for _, s := range asked {
			if s.From <= at && at <= s.To {
				return true
			}
		}
		return false
	}
	var since float64
	still := false
	end := func(at float64) {
		if still && at-since >= stallTime {
			all = append(all, chart.Stall{From: since, To: at})
		}
		still = false
	}
	for i := 1; i < len(samples); i++ {
		before, now := samples[i-1], samples[i]
		at := before.At.Seconds()
		switch quiet := now.Mirrors[mirror] == before.Mirrors[mirror] && busy(at); {
		case quiet && !still:
			since, still = at, true
		case !quiet:
			end(at)
		}
	}
	if n := len(samples); n > 0 {
		end(samples[n-1].At.Seconds())
	}
	return all
}

// throughputPicture is what each mirror served, second by second, with what
// they could serve at best.
func throughputPicture(c lab.Case, run lab.Run) chart.Area {
	picture := chart.Area{
		Title: "What each mirror served, by second; the dashed line is what they could serve",
		Unit:  "MiB/s", Step: 1,
	}
	for i, m := range c.Mirrors {
		picture.Series = append(picture.Series, chart.Series{Label: m.Name, Values: perSecond(run.Samples, i)})
	}
	for second := range len(picture.Series[0].Values) {
		at := time.Duration(second) * time.Second
		picture.Mark = append(picture.Mark, float64(c.RateAt(at))/mib)
	}
	return picture
}

// perSecond is what a mirror served in each second, in MiB.
func perSecond(samples []lab.Sample, mirror int) (values []float64) {
	var before int64
	for _, s := range samples {
		second := int(s.At / time.Second)
		for len(values) <= second {
			values = append(values, 0)
		}
		values[second] += float64(s.Mirrors[mirror]-before) / mib
		before = s.Mirrors[mirror]
	}
	return values
}

const mib = 1 << 20

// inMiB formats a number of bytes.
func inMiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/mib) }
