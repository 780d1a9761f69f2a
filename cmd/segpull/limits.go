package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/sources"
)

// tiny is the rate, in bytes a second, below which a limit is probably a mistake.
const tiny = 1 << 10

// tinyLimits returns a warning for each limit that perhaps lacks its unit.
func tinyLimits(total sources.Timetable, config sources.Config) []string {
	var doubts []string
	look := func(name string, rates ...sources.Rate) {
		for _, rate := range rates {
			if 0 < rate && rate < tiny {
				doubts = append(doubts, fmt.Sprintf("%s is %d bytes a second; if you forgot the unit, write for example 500K or 2M", name, rate))
			}
		}
	}
	look("limit-rate", total.Rates()...)
	for _, name := range slices.Sorted(maps.Keys(config.Mirror)) {
		look("mirror."+name+".limit-rate", config.Mirror[name].LimitRate)
	}
	return doubts
}

// keepLimits updates the limits by the timetable until ctx ends, and reads them from
// the configuration file again after SIGHUP. If SIGHUP means that the terminal has
// closed, keepLimits ends the pull.
func (a *app) keepLimits(ctx context.Context, limits *segpull.Limits, config sources.Config, feed segpull.Observer, cancel context.CancelCauseFunc) {
	attached := endsWithTerminal()
	changed := make(chan os.Signal, 1)
	notifyHangup(changed)
	defer signal.Stop(changed)
	for {
		now := time.Now()
		rate, until := a.limitRate.At(now)
		limits.Set(int64(rate))
		edge := time.NewTimer(max(until.Sub(now), time.Second)) // until may be past after a change of the clock
		select {
		case <-edge.C:
		case <-changed:
			if attached && !hasTerminal() {
				cancel(context.Canceled) // the terminal is gone
				return
			}
			var err error
			if config, err = a.reloadLimits(limits, config); err != nil {
				feed.Observe(segpull.Warning{Message: fmt.Sprintf("cannot read the new limits, so the current ones stay: %v", err)})
			}
		case <-ctx.Done():
			edge.Stop()
			return
		}
		edge.Stop()
	}
}

// reloadLimits reads the limits of the configuration file again; a limit on the
// command line has precedence. After an error, nothing changes.
func (a *app) reloadLimits(limits *segpull.Limits, old sources.Config) (sources.Config, error) {
	if err := lasting(cmp.Or(a.config, sources.ConfigPath())); err != nil {
		return old, err
	}
	config, err := sources.LoadConfig(a.config)
	if err != nil {
		return old, err
	}
	if !a.set.Changed("limit-rate") {
		a.limitRate = config.LimitRate
	}
	for name := range old.Mirror {
		limits.SetMirror(name, int64(config.Mirror[name].LimitRate))
	}
	for name, mirror := range config.Mirror {
		limits.SetMirror(name, int64(mirror.LimitRate))
	}
	return config, nil
}

// lasting returns an error for a path that can be read only once, such as --config <(…):
// the second time, it is like a file without limits. Loading reports all other errors.
func lasting(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file, so segpull does not read it again", path)
	}
	return nil
}
