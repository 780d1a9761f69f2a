package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/sources"
)

// app is one run of the command: its flags, and where it writes.
type app struct {
	flags
	stdout, stderr *os.File
}

// run runs the command and returns the exit code.
func run(args []string, stdout, stderr *os.File) int {
	log.SetOutput(io.Discard) // net/http logs unexpected answers of hosts
	ctx, stop := interruptible()
	defer stop()
	a := &app{stdout: stdout, stderr: stderr}
	a.environment = os.Getenv("SEGPULL_CACHE")
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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	images, err := a.images(ctx, refs)
	if err != nil {
		return err
	}
	feed := newFeed(a.views(images.references, cancel), a.verbose)
	for _, doubt := range a.doubts {
		feed.Observe(segpull.Warning{Message: doubt})
	}
	rate, _ := a.limitRate.At(time.Now())
	limits := segpull.NewLimits(int64(rate))
	go a.keepLimits(ctx, limits, config, feed, cancel)
	err = images.pull(ctx, segpull.Options{
		Mirrors:     a.mirrors,
		Config:      config,
		Authfile:    a.authfile,
		Output:      a.output,
		Format:      a.format,
		Platform:    a.platform,
		Name:        a.name,
		Load:        a.engine,
		To:          a.to,
		Limits:      limits,
		Connections: a.connections,
		SegmentSize: int64(a.segmentSize),
		GiveUpAfter: a.giveUpAfter.Duration,
		NoRace:      a.noRace,
		CacheDir:    a.cacheDir,
		CacheSize:   int64(a.cacheSize),
		History:     sources.HistoryPath(),
		Stdout:      a.stdout,
		Observer:    feed,
	})
	feed.close(ctx)

	if lost, ok := errors.AsType[*resultsError](context.Cause(ctx)); ok {
		return lost
	}
	return err
}
