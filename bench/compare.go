package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segpull/segpull/bench/weaknet"
)

// misbehaving are the cases that need no root.
var misbehaving = []string{"uneven-3", "dying", "stalling", "capped", "two-connections", "filling", "budget", "liar"}

// shown is the case whose pull is drawn, with and without root.
const (
	shown         = "tcp-one-hangs"
	shownLoopback = "dying"
)

// compare is the whole bench: weak networks of the kernel's own TCP, mirrors
// that misbehave, real servers.
func compare(ctx context.Context, args []string) error {
	network, err := weaknet.New()
	if err == nil {
		network, err = weaknet.New(weaknet.Link{})
	}
	if err != nil {
		return fmt.Errorf("%w; `go run ./bench loopback` needs neither root nor namespaces", err)
	}
	if err := network.Close(); err != nil {
		return err
	}
	names := slices.Concat(caseNames(profiles), []string{"cdn"}, misbehaving, []string{"local"})
	return comparison(ctx, "compare", args, names, shown)
}

// compareOnLoopback is what remains of it without root.
func compareOnLoopback(ctx context.Context, args []string) error {
	return comparison(ctx, "loopback", args, append(slices.Clone(misbehaving), "local"), shownLoopback)
}

func comparison(ctx context.Context, name string, args, names []string, draw string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	runs := flags.Int("runs", 3, "runs of each tool on each case")
	out := flags.String("out", "bench-results", "folder for the table, the numbers and the pictures")
	with := flags.String("tools", strings.Join(toolNames(), ","), "comma-separated")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		names = flags.Args()
	}
	on, err := chooseCases(names)
	if err != nil {
		return err
	}
	taking := installed(toolsNamed(strings.Split(*with, ",")...))
	return withRunner(ctx, func(r *runner) error {
		r.told = os.Stderr
		all, ended := r.turns(ctx, on, taking, *runs)
		if len(all) == 0 {
			return cmp.Or(ended, errors.New("nothing could run"))
		}
		results := newResults(all, taking)
		if err := results.write(*out, aboutCase); err != nil {
			return err
		}
		fmt.Print(results.markdown(aboutCase))
		fmt.Fprintf(os.Stderr, "bench: the table, the numbers and the pictures are in %s\n", *out)
		if ended != nil {
			return ended // what there is stands, though
		}
		return r.draw(ctx, draw, *out)
	})
}

// draw makes the pictures of one pull.
func (r *runner) draw(ctx context.Context, name, out string) error {
	c, err := caseNamed(name)
	if err != nil {
		return err
	}
	run, err := r.run(ctx, c, tools[0])
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "timeline.svg"), []byte(timelinePicture(run).SVG()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "throughput.svg"), []byte(throughputPicture(c, run).SVG()), 0o644)
}

// timeline draws one pull alone.
func timeline(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("timeline", flag.ContinueOnError)
	out := flags.String("out", ".", "folder for timeline.svg and throughput.svg")
	if err := parse(flags, args); err != nil {
		return err
	}
	name := shownLoopback
	if flags.NArg() > 0 {
		name = flags.Arg(0)
	}
	return withRunner(ctx, func(r *runner) error { return r.draw(ctx, name, *out) })
}

// installed leaves out the tools that are not there, with a word.
func installed(all []Tool) []Tool {
	return slices.DeleteFunc(all, func(t Tool) bool {
		_, err := t.find("segpull")
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is not installed and left out; bench/scripts/install-peers.sh installs the peers\n", t.Name)
		}
		return err != nil
	})
}

func toolNames() []string {
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = t.Name
	}
	return names
}

// aboutCase is a case's name with what it is.
func aboutCase(name string) string {
	c, err := caseNamed(name)
	if err != nil {
		return name
	}
	return fmt.Sprintf("%s: %s", c.Name, c.About)
}
