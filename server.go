package segpull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/serve"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/transfer"
)

// ServerOptions say what a Server serves, and from where. CacheDir is required.
type ServerOptions struct {
	// Mirrors, Config, Authfile, Limits, Connections, SegmentSize, CacheDir, CacheSize and
	// History are as in Options. Config decides which registries are served, see
	// sources.Server. A login of Authfile is used only for mirrors with private = true.
	Mirrors     []string
	Config      sources.Config
	Authfile    string
	Limits      *Limits
	Connections int // to one mirror, for each image that is being fetched
	SegmentSize int64
	CacheDir    string
	CacheSize   int64
	History     string

	// GiveUpAfter is how long a client waits without a byte from any source. 0: 5 minutes.
	GiveUpAfter time.Duration
	// NoRace is as in Options.
	NoRace bool
	// TagTTL is how long the digest of a tag is used without asking again. Negative: it is
	// asked for each time. 0: a minute.
	TagTTL time.Duration
	// Offline serves what the cache has, and asks nobody.
	Offline bool
	// VerifiedOnly sends no byte of a blob before its digest is right. Otherwise the last
	// 1 MiB of a blob, or the last 1 %, waits for that.
	VerifiedOnly bool
	// Hosts are names by which clients call the server, without ports, beside the address
	// that they connect to, and localhost.
	Hosts []string
	// SendRate and SendRatePerClient are how many bytes a second all clients get together,
	// of which those who wait have equal shares, and each client: an address, or an IPv6
	// network of 64 bits. 0: no limit.
	SendRate          int64
	SendRatePerClient int64
	// Addresses are host:port where the server listens. A mirror of Config.Engines at one
	// of them is the server itself, and is not asked.
	Addresses []string
	// Log receives a line for each image and each trouble. nil: nothing is logged.
	Log *slog.Logger
}

// Server is an http.Handler from which docker, containerd, podman and other clients pull
// images: a registry that fetches what it does not have. docs/serve.md has the
// configuration of each. A Server is safe for concurrent use, and several of them, and
// pulls, may share a cache.
type Server struct {
	upstream *upstream
	handler  *serve.Handler
}

// NewServer returns a server. Close ends what it runs.
func NewServer(opts ServerOptions) (*Server, error) {
	if opts.CacheDir == "" {
		return nil, usage(errors.New("a server needs a CacheDir"))
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	u := &upstream{
		served:  sources.Server{Config: opts.Config, Mirrors: opts.Mirrors, Addresses: opts.Addresses},
		logger:  &logger{log: opts.Log, failures: make(map[string]*failures)},
		fetched: make(map[string]int64),
	}
	c, err := newCall(Options{
		Mirrors: opts.Mirrors, Config: opts.Config, Authfile: opts.Authfile, Limits: opts.Limits,
		Connections: opts.Connections, SegmentSize: opts.SegmentSize, GiveUpAfter: opts.GiveUpAfter,
		NoRace: opts.NoRace, CacheDir: opts.CacheDir, CacheSize: opts.CacheSize, History: opts.History,
		Observer: u.logger,
	})
	if err != nil {
		return nil, err
	}
	c.logins.PrivateOnly = true
	c.newSet = func(images sources.Images) (*sources.Set, []error, error) { return u.served.New(c.logins, images) }
	c.corrupt.ExcludeFor = excludeFor
	u.call = c
	if u.Serves(defaultRegistry) { // otherwise a mirror that is not usable shows later
		if _, err := u.set(image.Reference{Registry: defaultRegistry}); err != nil {
			return nil, classify(err)
		}
	}
	ttl := opts.TagTTL
	if ttl == 0 {
		ttl = serve.DefaultTagTTL
	}
	return &Server{u, serve.New(serve.Options{
		Cache: c.cache, Bucket: c.bucket, Upstream: u, TagTTL: ttl, Offline: opts.Offline, VerifiedOnly: opts.VerifiedOnly,
		Hosts: opts.Hosts, SendRate: opts.SendRate, SendRatePerClient: opts.SendRatePerClient, Log: opts.Log,
	})}, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends all downloads. What has arrived stays in the cache, also of unfinished blobs,
// and the next server or pull continues with it.
func (s *Server) Close() {
	s.handler.Close()
	s.upstream.call.bucket.Close(putGrace)
	s.upstream.call.close()
}

// WriteMetrics writes metrics in the text format of Prometheus.
func (s *Server) WriteMetrics(ctx context.Context, w io.Writer) error {
	s.upstream.writeMetrics(w)
	return s.handler.WriteMetrics(ctx, w)
}

// defaultRegistry is the registry of clients that name none.
const defaultRegistry = "docker.io"

// excludeFor is how long a server does not use a source that has sent wrong bytes, the
// first time.
const excludeFor = time.Hour

// mostRegistries bounds the sets of sources of a server: with mirrors that serve any
// registry, its clients decide how many there are.
const mostRegistries = 256

// upstream implements serve.Upstream: the mirrors.
type upstream struct {
	call   *call
	served sources.Server
	logger *logger

	mu      sync.Mutex // guards what follows, and call.sources
	running []*transfer.Transfer
	fetched map[string]int64 // bytes by source, of transfers that have ended
}

// Serves implements serve.Upstream.
func (u *upstream) Serves(registry string) bool { return u.served.Serves(registry) }

// set returns the sources of a reference: those for its tags, also if it has a digest.
func (u *upstream) set(ref image.Reference) (*sources.Set, error) {
	ref.Digest = ""
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.call.sets) >= mostRegistries && u.call.sets[u.call.opts.Config.Scope(imagesOf(ref))] == nil {
		return nil, fmt.Errorf("images of %d registries were asked for, and %s would be another: restart the server to serve it", mostRegistries, ref.Registry)
	}
	return u.call.sources(ref)
}

// Claim implements serve.Upstream.
func (u *upstream) Claim(ctx context.Context, ref image.Reference) (digest.Digest, string, error) {
	set, err := u.set(ref)
	if err != nil {
		return "", "", err
	}
	return set.Claim(ctx, ref)
}

// Manifest implements serve.Upstream.
func (u *upstream) Manifest(ctx context.Context, ref image.Reference) (mediaType string, body []byte, source string, err error) {
	set, err := u.set(ref)
	if err != nil {
		return "", nil, "", err
	}
	d, body, err := set.Fetch(ctx, ref, ocispec.Descriptor{Digest: ref.Digest})
	if err != nil {
		return "", nil, "", err
	}
	return d.MediaType, body, set.Resolver(ref), charge(ctx, u.call.limits.all, len(body))
}

// Reject implements serve.Upstream.
func (u *upstream) Reject(ref image.Reference, reason error) (more bool) {
	set, err := u.set(ref)
	if err != nil {
		return false
	}
	f := &fetcher{set: set, call: u.call}
	_, more = f.Reject(ref, reason)
	return more
}

// Size implements serve.Upstream.
func (u *upstream) Size(ctx context.Context, ref image.Reference) (int64, error) {
	set, err := u.set(ref)
	if err != nil {
		return 0, err
	}
	return set.Size(ctx, ref)
}

// Transfer implements serve.Upstream.
func (u *upstream) Transfer(ref image.Reference) (*transfer.Transfer, []string, error) {
	set, err := u.set(ref)
	if err != nil {
		return nil, nil, err
	}
	opts := u.call.transferOptions(set, ref, sources.LoadHistory(u.call.opts.History))
	opts.KeepOpen, opts.Scratch = true, u.call.cache.Scratch
	t := transfer.New(opts)
	var names []string
	for _, src := range set.Sources() {
		names = append(names, src.Name())
	}
	if u.call.bucket != nil {
		names = append(names, u.call.bucket.Name())
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running = append(u.running, t)
	return t, names, nil
}

// Ended implements serve.Upstream.
func (u *upstream) Ended(t *transfer.Transfer) {
	_ = t.History().Save(u.call.opts.History) // it only helps the next transfer
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running = slices.DeleteFunc(u.running, func(r *transfer.Transfer) bool { return r == t })
	for _, s := range t.Sources() {
		u.fetched[s.Name] += s.Bytes
	}
}

// Via implements serve.Upstream.
func (u *upstream) Via(ctx context.Context, via string) context.Context {
	return sources.WithVia(ctx, via)
}

func (u *upstream) writeMetrics(w io.Writer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	fetched, rates := maps.Clone(u.fetched), make(map[string]float64)
	for _, t := range u.running {
		for _, s := range t.Sources() {
			fetched[s.Name] += s.Bytes
			rates[s.Name] += s.Rate
		}
	}
	serve.Metric(w, "segpull_fetched_bytes_total", "counter", "Bytes of blobs that a source has sent.")
	for _, name := range slices.Sorted(maps.Keys(fetched)) {
		fmt.Fprintf(w, "segpull_fetched_bytes_total{source=%q} %d\n", name, fetched[name])
	}
	serve.Metric(w, "segpull_source_bytes_per_second", "gauge", "Rate of a source now.")
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		fmt.Fprintf(w, "segpull_source_bytes_per_second{source=%q} %g\n", name, rates[name])
	}
	u.logger.writeMetrics(w)
	serve.Metric(w, "segpull_corrupt_sources", "gauge", "Whether a source is excluded because it has sent wrong bytes.")
	for _, name := range u.call.corrupt.Names() {
		fmt.Fprintf(w, "segpull_corrupt_sources{source=%q} 1\n", name)
	}
}

// failures are requests to one source that failed.
type failures struct {
	count  int64
	logged time.Time
}

// troubleInterval is the least time between two lines about one source.
const troubleInterval = time.Minute

// logger is the Observer of a server.
type logger struct {
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	failures map[string]*failures
}

// Observe implements Observer.
func (l *logger) Observe(e Event) {
	switch e := e.(type) {
	case Warning:
		l.log.Warn(e.Message)
	case Trouble:
		if l.failed(e.Source) {
			l.log.Warn("a request failed, and is made again or elsewhere", "source", e.Source, "error", e.Message)
		}
	case Stalled:
		l.log.Warn("no source sends a byte", "image", e.Reference, "silent", e.Silent.Duration, "reasons", e.Reasons)
	}
}

// failed counts a failure, and reports whether to log it.
func (l *logger) failed(source string) bool {
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

func (l *logger) writeMetrics(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	serve.Metric(w, "segpull_source_errors_total", "counter", "Requests to a source that failed.")
	for _, name := range slices.Sorted(maps.Keys(l.failures)) {
		fmt.Fprintf(w, "segpull_source_errors_total{source=%q} %d\n", name, l.failures[name].count)
	}
}
