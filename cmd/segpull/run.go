package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/report"
	"github.com/segpull/segpull/sources"
)

// app is one run of the command: its flags, and where it writes.
type app struct {
	flags
	watcher        segpull.Observer // of a pull, beside its views; nil: none
	args           []string
	stdout, stderr *os.File
}

// run runs the command and returns the exit code.
func run(args []string, stdout, stderr *os.File) int {
	log.SetOutput(io.Discard) // net/http logs unexpected answers of hosts
	ctx, stop := interruptible()
	defer stop()
	a := &app{args: args, stdout: stdout, stderr: stderr}
	a.environment = os.Getenv("SEGPULL_CACHE")
	a.chooseLanguage()
	cmd := a.command()
	cmd.SetArgs(args)
	return a.exit(cmd.ExecuteContext(ctx))
}

// interruptible returns a context that the first INT or TERM ends. The second signal
// has its default effect, and ends the process at once.
func interruptible() (context.Context, context.CancelFunc) {
	// Go ends a process that writes to a closed standard output, unless it
	// listens to SIGPIPE: then the write fails with EPIPE, which the command can report.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// pull pulls the images and shows the progress.
func (a *app) pull(ctx context.Context, refs []string) error {
	config, err := a.inherit()
	if err != nil {
		return err
	}
	if err := a.checkLoad(refs); err != nil {
		return err
	}
	if err := a.placeAdded(); err != nil {
		return err
	}
	if err := a.findMirrors(ctx, &config); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	images, err := a.images(ctx, refs)
	if err != nil {
		return err
	}
	feed := newFeed(a.views(images.references(), cancel), a.verbose)
	var observer segpull.Observer = feed
	var recorder *report.Recorder
	if a.report != "" {
		recorder = report.New()
		observer = both{feed, recorder}
	}
	if a.watcher != nil {
		observer = both{observer, a.watcher}
	}
	a.tellDoubts(observer)
	rate, _ := a.limitRate.At(time.Now())
	limits := segpull.NewLimits(int64(rate))
	go a.keepLimits(ctx, limits, config, observer, cancel)
	opts := a.imageOptions(config)
	opts.AllPlatforms = a.all
	opts.Name = a.name
	opts.Load = a.engine
	opts.To = a.to
	opts.Limits = limits
	opts.Connections = a.connections
	opts.SegmentSize = int64(a.segmentSize)
	opts.NoRace = a.noRace
	opts.CacheSize = int64(a.cacheSize)
	opts.CacheOnly = a.cacheOnly && a.server == ""
	opts.Server = a.server
	opts.Stdout = a.stdout
	opts.Observer = observer
	err = images.pull(ctx, opts)
	feed.close(ctx)

	if lost, ok := errors.AsType[*resultsError](context.Cause(ctx)); ok {
		err = lost
	}
	if recorder != nil {
		return a.writeReport(recorder, err)
	}
	return err
}

// imageOptions returns the options that say which image it is, from which sources, and
// where it would be on the disk.
func (a *app) imageOptions(config sources.Config) segpull.Options {
	return segpull.Options{
		Mirrors:     a.mirrors,
		Config:      config,
		Authfile:    a.authfile,
		Output:      a.output,
		Format:      a.format,
		Platform:    a.platform,
		GiveUpAfter: a.giveUpAfter.Duration,
		CacheDir:    a.cacheDir,
		History:     sources.HistoryPath(),
	}
}

// both passes events on to two observers.
type both struct{ first, second segpull.Observer }

func (b both) Observe(e segpull.Event) {
	b.first.Observe(e)
	b.second.Observe(e)
}

// writeReport writes the file of --report about a pull that ended with err, and returns
// err, or else why it could not write.
func (a *app) writeReport(r *report.Recorder, err error) error {
	outcome := report.Outcome{Args: a.args}
	if err != nil {
		outcome.Failure, _ = explain(err)
	}
	failed := r.WriteFile(a.report, outcome)
	switch {
	case failed == nil:
		return err
	case err == nil:
		return fmt.Errorf("the pull is complete, but segpull cannot write its report: %w; give another file with --report", failed)
	}
	return fmt.Errorf("%w; segpull also cannot write its report: %v", err, failed)
}
