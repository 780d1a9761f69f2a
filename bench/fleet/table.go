package fleet

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/segpull/segpull/bench/fleetsim"
	"github.com/segpull/segpull/bench/report"
)

// goal is how many bytes the mirrors may send for a byte that nodes get, with 100 nodes
// for each image.
const goal = "≤ 0.02"

// describe writes what is measured.
func (p plan) describe(w io.Writer) {
	var rates []string
	for _, l := range p.shape.links {
		rates = append(rates, fmt.Sprintf("%.0f", l/mbit))
	}
	fmt.Fprintf(w, `Measured on this machine, beside the simulation of the same: %d nodes pull %d images of %.0f MiB, of which
all share %.0f MiB: %.2f GiB, of which %.1f MiB are different. Links have %s Mbit/s in turns; three
mirrors send %.0f MiB/s together and answer after %s. All nodes begin within %s. Links, mirrors and
images are a tenth of usual ones.
`, len(p.Links), len(p.images), float64(sum(p.shape.base)+sum(p.shape.own))/mib,
		float64(sum(p.shape.base))/mib, inGiB(p.served()), float64(p.need())/mib, strings.Join(rates, ", "),
		p.Mirrors/mib, p.MirrorDelay, p.shape.starts)
}

// write writes the table of the runs with a number of origins. files is how many bytes a
// second nginx alone has served in each run.
func (p plan) write(ctx context.Context, w io.Writer, origins int, runs []measured, files []float64) error {
	p.Origins = origins
	p.FrontRate = report.SpreadOf(files...).Median
	bound := p.Bound()
	t := table{w, runs}
	p.FrontRate = report.SpreadOf(t.values(func(m measured) float64 { return m.capacity })...).Median
	r, err := p.Run(ctx)
	if err != nil {
		return err
	}

	fmt.Fprintf(w, "\n| %s behind nginx | goal | measured | simulated |\n|---|---|---|---|\n", servers(origins))
	t.row("bytes from the mirrors / bytes that nodes got", goal, 4, "", func(m measured) float64 { return float64(m.mirrored) / float64(p.served()) }, perByte(r))
	t.row("bytes from the mirrors / size of all different blobs", "-", 3, "", func(m measured) float64 { return float64(m.mirrored) / float64(p.need()) }, float64(r.Mirrored)/float64(p.need()))
	t.times("first byte of a blob that was not cached yet", func(m measured) []time.Duration { return m.cold }, r.Cold)
	t.times("first byte of a cached blob", func(m measured) []time.Duration { return m.warm }, r.Warm)
	t.row("until the last node had its image", "-", 1, " s", func(m measured) float64 { return m.last.Seconds() }, r.Last().Seconds())
	t.row(fmt.Sprintf("the same, divided by the bound of %.1f s", bound.Seconds()), "-", 2, "", func(m measured) float64 { return m.last.Seconds() / bound.Seconds() }, r.Last().Seconds()/bound.Seconds())
	t.row("the busiest server's share of the bytes", "-", 2, "", busiest, float64(slices.Max(r.Origins))/float64(r.Served))
	t.row("memory of a server, the greatest", "-", 0, " MiB", memory)
	t.row("processor time of all servers, for each GiB", "-", 2, " s", func(m measured) float64 { return m.cpu().Seconds() / inGiB(p.served()) })
	t.row("processor time of nginx, for each GiB", "-", 2, " s", func(m measured) float64 { return m.nginx.Seconds() / inGiB(p.served()) })
	t.row("all nodes again, without limits of links, from the caches", "-", 0, " MiB/s", func(m measured) float64 { return m.capacity / mib })
	fmt.Fprintf(w, "| the same from nginx alone, which has the blobs as files | - | %s | %s |\n", report.Figures(0, " MiB/s", scaled(files, mib)...), notModelled)
	return nil
}

const notModelled = "not modelled"

// table writes the figures of some runs.
type table struct {
	w    io.Writer
	runs []measured
}

func (t table) values(of func(measured) float64) (all []float64) {
	for _, m := range t.runs {
		all = append(all, of(m))
	}
	return all
}

// row writes a figure, with the simulated one if there is one.
func (t table) row(name, goal string, decimals int, unit string, of func(measured) float64, simulated ...float64) {
	beside := notModelled
	if len(simulated) > 0 {
		beside = report.Figures(decimals, unit, simulated...)
	}
	fmt.Fprintf(t.w, "| %s | %s | %s | %s |\n", name, goal, report.Figures(decimals, unit, t.values(of)...), beside)
}

// times writes the percentiles of times in milliseconds.
func (t table) times(name string, of func(measured) []time.Duration, simulated []time.Duration) {
	for _, p := range []float64{50, 99} {
		value := func(times []time.Duration) float64 { return milliseconds(times, p) }
		t.row(fmt.Sprintf("%s, p%.0f", name, p), "-", 0, " ms", func(m measured) float64 { return value(of(m)) }, value(simulated))
	}
}

// milliseconds is a percentile of times; 0 if there are none.
func milliseconds(times []time.Duration, p float64) float64 {
	if len(times) == 0 {
		return 0
	}
	return float64(report.Percentile(times, p)) / float64(time.Millisecond)
}

// perByte is how many bytes the mirrors sent for a byte that nodes got.
func perByte(r fleetsim.Result) float64 {
	return float64(r.Mirrored) / float64(r.Served+r.Shared)
}

func busiest(m measured) float64 {
	var most, all int64
	for _, o := range m.origins {
		most, all = max(most, o.served), all+o.served
	}
	return float64(most) / float64(all)
}

func memory(m measured) (most float64) {
	for _, o := range m.origins {
		most = max(most, float64(o.peak)/mib)
	}
	return most
}

// cpu is the processor time of all origins.
func (m measured) cpu() (all time.Duration) {
	for _, o := range m.origins {
		all += o.cpu
	}
	return all
}

func inGiB(bytes int64) float64 { return float64(bytes) / gib }

func scaled(values []float64, by float64) (all []float64) {
	for _, v := range values {
		all = append(all, v/by)
	}
	return all
}

func sum(sizes []int64) (all int64) {
	for _, n := range sizes {
		all += n
	}
	return all
}
