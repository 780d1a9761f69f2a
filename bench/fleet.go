package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/segpull/segpull/bench/fleet"
)

// The parts of the command fleet.
const (
	partMeasured  = "measured"
	partSimulated = "simulated"
)

// fleetFlags are what the command line says of the fleets.
type fleetFlags struct {
	fleet.Options
	nodes     int     // that are simulated
	terabytes float64 // a day
	parts     []string
}

func runFleet(ctx context.Context, args []string) error {
	f, err := parseFleet(args)
	if err != nil {
		return err
	}
	if slices.Contains(f.parts, partMeasured) {
		if err := f.measure(ctx); err != nil {
			return err
		}
		fmt.Println()
	}
	if !slices.Contains(f.parts, partSimulated) {
		return nil
	}
	fmt.Fprintf(os.Stderr, "Simulating a day of %d nodes, which takes some seconds for each 10 TB …\n", f.nodes)
	return fleet.Simulate(ctx, os.Stdout, f.nodes, f.terabytes*1e12)
}

func parseFleet(args []string) (f fleetFlags, err error) {
	f.Log = os.Stderr
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.IntVar(&f.Nodes, "nodes", 200, "nodes that are measured")
	flags.IntVar(&f.PerImage, "per-image", 100, "nodes that pull the same image, of those that are measured")
	flags.IntVar(&f.Runs, "runs", 1, "runs of each; medians are shown, with the least and the greatest")
	flags.BoolVar(&f.VerifiedOnly, "verified-only", true, "start the servers with --verified-only, as deploy/nginx/segpull.conf does")
	servers := flags.String("servers", "1,2,4", "numbers of servers behind nginx that are measured")
	flags.IntVar(&f.nodes, "sim-nodes", 1000, "nodes that are simulated")
	flags.Float64Var(&f.terabytes, "sim-tb", 100, "TB that these pull in a day")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "go run ./bench fleet [flags] [%s|%s]\n\nDefault: both. %s needs nginx.\n\nFlags:\n", partMeasured, partSimulated, partMeasured)
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return f, err
	}
	if f.parts = flags.Args(); len(f.parts) == 0 {
		f.parts = []string{partMeasured, partSimulated}
	}
	for _, number := range strings.Split(*servers, ",") {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return f, usageError{fmt.Sprintf("-servers %s: write numbers of at least 1, separated by commas", *servers)}
		}
		f.Origins = append(f.Origins, n)
	}
	return f, f.check()
}

func (f fleetFlags) check() error {
	for _, part := range f.parts {
		if part != partMeasured && part != partSimulated {
			return usageError{fmt.Sprintf("fleet has no part %q; there are %s, %s", part, partMeasured, partSimulated)}
		}
	}
	if min(f.Nodes, f.PerImage, f.Runs, f.nodes) < 1 || f.terabytes <= 0 {
		return usageError{"-nodes, -per-image, -runs and -sim-nodes are at least 1, and -sim-tb is more than 0"}
	}
	return nil
}

// measure measures with a fresh segpull, and the configuration of nginx in this repository.
func (f fleetFlags) measure(ctx context.Context) error {
	if err := fleet.Check(); err != nil {
		return err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find deploy/nginx/segpull.conf (run bench inside the repository): %w", err)
	}
	config, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "deploy", "nginx", "segpull.conf"))
	if err != nil {
		return err
	}
	return inTemp(ctx, func(dir, segpull string) error {
		f.Segpull, f.Dir, f.Nginx = segpull, dir, string(config)
		return fleet.Measure(ctx, os.Stdout, f.Options)
	})
}
