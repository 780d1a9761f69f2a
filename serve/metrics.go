package serve

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/segpull/segpull/bucket"
)

// firstByteBounds are the upper bounds of a histogram, in seconds.
var firstByteBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// mostRegistries bounds the label registry: clients choose it.
const mostRegistries = 50

// metrics counts what the handler does. It is safe for concurrent use.
type metrics struct {
	mu           sync.Mutex
	requests     map[requestKey]int64
	registries   map[string]bool
	served       int64 // bytes of bodies
	evictedBytes int64
	firstByte    []int64 // answers by firstByteBounds, and above them
	firstByteSum float64 // seconds
}

// requestKey has the labels of a request.
type requestKey struct {
	kind     kind
	registry string
	origin   origin
	status   int
}

func newMetrics() *metrics {
	return &metrics{
		requests:   make(map[requestKey]int64),
		registries: make(map[string]bool),
		firstByte:  make([]int64, len(firstByteBounds)+1),
	}
}

// count counts a request that was answered.
func (m *metrics) count(k kind, registry string, from origin, w *response) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.registries[registry] && len(m.registries) >= mostRegistries {
		registry = "other"
	}
	m.registries[registry] = true
	m.requests[requestKey{k, registry, cmp.Or(from, missed), cmp.Or(w.status, http.StatusOK)}]++
	m.served += w.bytes
	if !w.firstByte.IsZero() {
		took := w.firstByte.Sub(w.began).Seconds()
		i, _ := slices.BinarySearch(firstByteBounds, took)
		m.firstByte[i]++
		m.firstByteSum += took
	}
}

func (m *metrics) evicted(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.evictedBytes += bytes
}

// WriteMetrics writes the metrics in the text format of Prometheus.
func (h *Handler) WriteMetrics(ctx context.Context, w io.Writer) error {
	var b strings.Builder
	h.metrics.write(&b)
	h.mu.Lock()
	downloads := len(h.downloads)
	h.mu.Unlock()
	Metric(&b, "segpull_downloads", "gauge", "Blobs that are being fetched.")
	fmt.Fprintf(&b, "segpull_downloads %d\n", downloads)
	blobs, bytes, err := h.opts.Cache.Usage(ctx)
	if err != nil {
		return err
	}
	Metric(&b, "segpull_cache_bytes", "gauge", "Bytes in the cache, with those of unfinished blobs.")
	fmt.Fprintf(&b, "segpull_cache_bytes %d\n", bytes)
	Metric(&b, "segpull_cache_limit_bytes", "gauge", "Above these bytes, the least recently used images leave the cache.")
	fmt.Fprintf(&b, "segpull_cache_limit_bytes %d\n", h.opts.Cache.Limit())
	Metric(&b, "segpull_cache_blobs", "gauge", "Blobs in the cache.")
	fmt.Fprintf(&b, "segpull_cache_blobs %d\n", blobs)
	if h.opts.Bucket != nil {
		writeBucket(&b, h.opts.Bucket.Stats())
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func writeBucket(w io.Writer, s bucket.Stats) {
	for _, m := range []struct {
		name, help string
		value      int64
	}{
		{"hits", "Blobs and manifests that the bucket had.", s.Hits},
		{"misses", "Blobs and manifests that the bucket did not have.", s.Misses},
		{"waits", "Blobs that another process had claimed.", s.Waits},
		{"takeovers", "Claims of other processes that had ended, and were taken over.", s.Takeovers},
		{"read_bytes", "Bytes that came from the bucket.", s.ReadBytes},
		{"puts", "Blobs and manifests that were put into the bucket.", s.Puts},
		{"put_bytes", "Bytes of blobs and manifests that were put into the bucket.", s.PutBytes},
		{"failed_puts", "Blobs and manifests that were not put, since the bucket failed or the server ended.", s.FailedPuts},
		{"errors", "Requests to the bucket that failed.", s.Errors},
		{"wrong", "Objects of the bucket with wrong bytes.", s.Wrong},
	} {
		Metric(w, "segpull_bucket_"+m.name+"_total", "counter", m.help)
		fmt.Fprintf(w, "segpull_bucket_%s_total %d\n", m.name, m.value)
	}
}

// Metric writes the lines that precede the values of a metric.
func Metric(w io.Writer, name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (m *metrics) write(w io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	Metric(w, "segpull_requests_total", "counter", "Requests for manifests and blobs.")
	keys := slices.SortedFunc(maps.Keys(m.requests), func(a, b requestKey) int {
		return strings.Compare(a.String(), b.String())
	})
	for _, k := range keys {
		fmt.Fprintf(w, "segpull_requests_total{%s} %d\n", k, m.requests[k])
	}
	Metric(w, "segpull_served_bytes_total", "counter", "Bytes of manifests and blobs that clients got.")
	fmt.Fprintf(w, "segpull_served_bytes_total %d\n", m.served)
	Metric(w, "segpull_cache_evicted_bytes_total", "counter", "Bytes that left the cache to make room.")
	fmt.Fprintf(w, "segpull_cache_evicted_bytes_total %d\n", m.evictedBytes)
	Metric(w, "segpull_first_byte_seconds", "histogram", "Time from a request to the first byte of the body.")
	sum := int64(0)
	for i, n := range m.firstByte {
		sum += n
		bound := "+Inf"
		if i < len(firstByteBounds) {
			bound = fmt.Sprint(firstByteBounds[i])
		}
		fmt.Fprintf(w, "segpull_first_byte_seconds_bucket{le=%q} %d\n", bound, sum)
	}
	fmt.Fprintf(w, "segpull_first_byte_seconds_sum %g\nsegpull_first_byte_seconds_count %d\n", m.firstByteSum, sum)
}

func (k requestKey) String() string {
	return fmt.Sprintf("kind=%q,registry=%q,cache=%q,code=\"%d\"", k.kind, k.registry, k.origin, k.status)
}
