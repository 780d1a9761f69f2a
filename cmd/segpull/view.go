package main

import (
	"fmt"
	"io"
	"time"

	"github.com/segpull/segpull"
)

// view shows a pull. One goroutine calls it.
type view interface {
	show(at time.Time, e segpull.Event)
	// close removes what must not stay on the terminal.
	close()
}

// views returns the views of this run. results is the last: bars have left the screen
// when it prints.
func (a *app) views(refs []string, fail func(error)) []view {
	var views []view
	if a.quiet {
		views = append(views, failures{a.noticeView()})
	} else {
		views = append(views, a.progressView(refs))
	}
	return append(views, &results{a.stdout, fail})
}

// progressView returns the view that --progress names. Without a terminal, plain lines
// replace the bars.
func (a *app) progressView(refs []string) view {
	switch a.progress {
	case "json", "none":
		return a.noticeView()
	case "auto", "bar":
		if movable(a.stderr) {
			return newBars(&screen{out: a.stderr, size: sizeOf(a.stderr)}, colours(), refs)
		}
	}
	return &plain{notices: a.notices(), last: map[string]plainLine{}}
}

// noticeView returns the view that shows least: events in JSON, or only notices.
func (a *app) noticeView() view {
	if a.progress == "json" {
		return jsonView{a.stderr}
	}
	return a.notices()
}

func (a *app) notices() notices { return notices{a.stderr, movable(a.stderr) && colours()} }

// results prints the digest and the path of each archive that is complete, except one
// on standard output, and the digest and the name of what an engine or only a cache has
// got.
type results struct {
	out  io.Writer
	fail func(error)
}

// resultsError says that the reader of the results has closed the pipe.
type resultsError struct{ err error }

func (e *resultsError) Error() string {
	return fmt.Sprintf("cannot write the result to standard output: %v; run the same command again to continue", e.err)
}

func (r *results) show(_ time.Time, e segpull.Event) {
	finished, ok := e.(segpull.Finished)
	if !ok {
		return
	}
	switch path := finished.Path; {
	case path == "-": // standard output is the archive, and nothing else
		return
	case path == "" && len(finished.Delivered) == 0: // it is only in the cache
		r.print(finished.Digest, finished.Reference)
	case path != "":
		r.print(finished.Digest, path)
	}
	for _, d := range finished.Delivered {
		r.print(d.Digest, d.Name)
	}
}

func (r *results) print(digest, name string) {
	if _, err := fmt.Fprintln(r.out, digest, name); err != nil {
		r.fail(&resultsError{err})
	}
}

func (r *results) close() {}

// failures shows only the images of a list that failed, for --quiet.
type failures struct{ view }

func (f failures) show(at time.Time, e segpull.Event) {
	if _, ok := e.(segpull.Failed); ok {
		f.view.show(at, e)
	}
}

// notices prints only warnings, troubles, and images of a list that failed.
type notices struct {
	out    io.Writer
	colour bool
}

func (n notices) show(_ time.Time, e segpull.Event) {
	if line := noticeLine(e, n.colour); line != "" {
		fmt.Fprintln(n.out, line)
	}
}

func (n notices) close() {}
