package upstream

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/serve"
)

// troubleInterval is the least time between two lines about one source.
const troubleInterval = time.Minute

// Log writes reports as lines of a log, and counts requests that failed. It is safe for
// concurrent use.
type Log struct {
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	failures map[string]*failures
}

// failures are requests to one source that failed.
type failures struct {
	count  int64
	logged time.Time
}

// NewLog returns a Log that writes to log.
func NewLog(log *slog.Logger) *Log { return &Log{log: log, failures: make(map[string]*failures)} }

// Report returns the functions that write lines.
func (l *Log) Report() Report {
	return Report{
		Warn:    func(message string) { l.log.Warn(message) },
		Trouble: func(source string, err error) { l.trouble(source, strings.TrimPrefix(err.Error(), source+": ")) },
		Suspect: l.trouble,
		Stalled: func(ref image.Reference, silent time.Duration, reasons []error) {
			var lines []string
			for _, reason := range reasons {
				lines = append(lines, reason.Error())
			}
			l.log.Warn("no source sends a byte", "image", ref.Display(), "silent", silent, "reasons", lines)
		},
	}
}

func (l *Log) trouble(source, message string) {
	if l.failed(source) {
		l.log.Warn("a request failed, and is made again or elsewhere", "source", source, "error", message)
	}
}

// failed counts a failure, and reports whether to log it.
func (l *Log) failed(source string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failures[source]
	if f == nil {
		f = &failures{}
		l.failures[source] = f
	}
	f.count++
	if time.Since(f.logged) < troubleInterval {
		return false
	}
	f.logged = time.Now()
	return true
}

// WriteMetrics writes how many requests failed in the text format of Prometheus.
func (l *Log) WriteMetrics(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	serve.Metric(w, "segpull_source_errors_total", "counter", "Requests to a source that failed.")
	for _, name := range slices.Sorted(maps.Keys(l.failures)) {
		fmt.Fprintf(w, "segpull_source_errors_total{source=%q} %d\n", name, l.failures[name].count)
	}
}
