package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/report"
)

// comparison is one call of the command cases.
type comparison struct {
	cases    []lab.Case
	tools    []lab.Tool // empty: those that a case's goal needs
	before   []lab.Tool // another segpull, to compare with; empty: none
	runs     int
	out      string // directory for the results; "": none
	timeline string // the case that is drawn; "": none

	done     []lab.Run
	used     []lab.Tool
	timed    *lab.Run // the first of segpull on the case that is drawn
	timeCase lab.Case
}

// runCases runs tools on cases and reports which goals segpull reaches.
func runCases(ctx context.Context, args []string) error {
	var c comparison
	flags := flag.NewFlagSet("cases", flag.ContinueOnError)
	flags.Usage = func() { casesUsage(flags) }
	flags.IntVar(&c.runs, "runs", 1, "runs of each tool on each case")
	with := flags.String("tools", "", "comma-separated, or all; default: segpull, and the tools that a goal compares it with")
	against := flags.String("against", "", "path of another segpull, which runs after this one in each turn and is called before")
	flags.StringVar(&c.out, "out", "", "directory for the tables, the numbers and the pictures; default: none")
	flags.StringVar(&c.timeline, "timeline", "", "draw a pull of this case: timeline.svg and throughput.svg, in -out or here")
	list := flags.Bool("list", false, "only list the cases with their goals; default: all cases")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *list {
		return listCases(flags.Args())
	}
	if err := cmp.Or(c.choose(flags.Args(), *with), c.compareWith(*against)); err != nil {
		return usageError{err.Error()}
	}
	return withLab(ctx, func(l *lab.Lab) error { return c.run(ctx, l) })
}

// listCases prints a line for each case.
func listCases(names []string) error {
	if len(names) == 0 {
		names = []string{"*"}
	}
	found, err := lab.Cases(names...)
	if err != nil {
		return usageError{err.Error()}
	}
	for _, c := range found {
		goals := report.Goals(c.Goal)
		if goals == "" {
			goals = "no goal"
		}
		fmt.Printf("%-17s %s; %s\n", c.Name, c.About, goals)
	}
	return nil
}

func casesUsage(flags *flag.FlagSet) {
	fmt.Fprintf(flags.Output(), `go run ./bench cases [flags] [case, pattern or group...]

Groups:
  %-8s every case with a goal; the default
  %-8s weak networks and real servers; needs root
  %-8s mirrors that misbehave, on loopback

Flags:
`, lab.Goals, lab.Networks, lab.Mirrors)
	flags.PrintDefaults()
}

// choose sets the cases and tools. The case that is drawn is one of them.
func (c *comparison) choose(names []string, tools string) (err error) {
	if c.timeline != "" {
		found, err := lab.Cases(c.timeline)
		if err != nil {
			return err
		}
		c.timeCase = found[0]
	} else if len(names) == 0 {
		names = []string{lab.Goals}
	}
	if c.cases, err = lab.Cases(names...); err != nil {
		return err
	}
	if c.timeline != "" && !slices.ContainsFunc(c.cases, c.isDrawn) {
		c.cases = append(c.cases, c.timeCase)
	}
	if tools != "" {
		c.tools, err = lab.Tools(strings.Split(tools, ",")...)
		c.tools = installed(c.tools)
	}
	return err
}

// compareWith adds another segpull to the tools; "": none.
func (c *comparison) compareWith(path string) error {
	if path == "" {
		return nil
	}
	other, err := lab.Other(path)
	c.before = []lab.Tool{other}
	return err
}

func (c *comparison) isDrawn(other lab.Case) bool {
	return c.timeline != "" && other.Name == c.timeCase.Name
}

// installed leaves out the tools that are not installed, and logs their names.
func installed(tools []lab.Tool) []lab.Tool {
	return slices.DeleteFunc(tools, func(t lab.Tool) bool {
		if !t.Installed() {
			fmt.Fprintf(os.Stderr, "bench: %s is not installed and left out; bench/scripts/install-peers.sh installs the peers\n", t.Name)
		}
		return !t.Installed()
	})
}

// run runs all cases. What is done when the context ends is reported too.
func (c *comparison) run(ctx context.Context, l *lab.Lab) error {
	fmt.Println(report.Header)
	var ended error
	for _, on := range c.cases {
		if ended = c.runCase(ctx, l, on); ended != nil {
			break
		}
	}
	if len(c.done) == 0 {
		return cmp.Or(ended, errors.New("none of the tools could run"))
	}
	return errors.Join(c.write(), ended)
}

func (c *comparison) runCase(ctx context.Context, l *lab.Lab, on lab.Case) error {
	tools := c.toolsFor(on)
	c.used = append(c.used, tools...)
	runs, err := l.Turns(ctx, on, tools, c.runs, func(run lab.Run) {
		if run.Tool == lab.Segpull && c.isDrawn(on) && c.timed == nil {
			c.timed = &run
		}
		fmt.Println(report.Line(on, run))
	})
	if c.runs > 1 {
		for _, s := range report.Summarize(runs) {
			fmt.Println(s)
		}
	}
	for _, r := range report.Races(on, runs) {
		fmt.Println(r)
	}
	c.done = append(c.done, runs...)
	return err
}

// toolsFor lists the tools that run on a case, in their order.
func (c *comparison) toolsFor(on lab.Case) []lab.Tool {
	if len(c.tools) > 0 {
		return slices.Concat(c.tools, c.before)
	}
	tools, _ := lab.Tools(slices.Concat(on.Goal.Rivals, []string{lab.Segpull})...) // all exist
	return slices.Concat(installed(tools), c.before)
}

// write writes the results and the pictures.
func (c *comparison) write() error {
	if c.out != "" {
		if err := report.NewResults(c.done, c.used).Write(c.out); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "bench: the tables, the numbers and the pictures are in", c.out)
	}
	if c.timed != nil {
		return report.WriteTimeline(cmp.Or(c.out, "."), c.timeCase, *c.timed)
	}
	return nil
}
