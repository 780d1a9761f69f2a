package segpull

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/upstream"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/serve"
	"github.com/segpull/segpull/sources"
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
	mirrors  *upstream.Mirrors
	upstream *upstream.Server
	cache    *cache.Cache
	bucket   *bucket.Store
	handler  *serve.Handler
	log      *upstream.Log
}

const (
	// defaultRegistry is the registry of clients that name none.
	defaultRegistry = "docker.io"
	// excludeFor is how long a server does not use a source that has sent wrong bytes, the
	// first time.
	excludeFor = time.Hour
	// mostRegistries bounds the sets of sources of a server: with mirrors that serve any
	// registry, its clients decide how many there are.
	mostRegistries = 256
	// putGrace is how long a put into the bucket may still take when a server ends.
	putGrace = time.Second
)

// NewServer returns a server. Close ends what it runs.
func NewServer(opts ServerOptions) (*Server, error) {
	common := opts.common()
	if err := common.checkNumbers(); err != nil {
		return nil, usage(err)
	}
	if opts.CacheDir == "" {
		return nil, usage(errors.New("a server needs a CacheDir"))
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{log: upstream.NewLog(opts.Log)}
	report := s.log.Report()
	var err error
	if s.cache, s.bucket, err = common.openCache(report.Warn); err != nil {
		return nil, usage(err)
	}
	logins := sources.NewLogins(opts.Authfile, report.Warn)
	logins.PrivateOnly = true
	served := sources.Server{Config: opts.Config, Mirrors: opts.Mirrors, Addresses: opts.Addresses}
	mirrors := common.upstream(report, cmp.Or(opts.Limits, NewLimits(0)), s.cache, s.bucket, func(images sources.Images) (*sources.Set, []error, error) {
		return served.New(logins, images)
	})
	mirrors.ExcludeFor, mirrors.MostSets = excludeFor, mostRegistries
	s.mirrors = upstream.New(mirrors)
	s.upstream = upstream.NewServer(s.mirrors, served)
	if s.upstream.Serves(defaultRegistry) { // otherwise a mirror that is not usable shows later
		if err := s.upstream.Check(defaultRegistry); err != nil {
			return nil, class.MarkKnown(err)
		}
	}
	s.handler = serve.New(serve.Options{
		Cache: s.cache, Bucket: s.bucket, Upstream: s.upstream, TagTTL: cmp.Or(opts.TagTTL, serve.DefaultTagTTL),
		Offline: opts.Offline, VerifiedOnly: opts.VerifiedOnly,
		Hosts: opts.Hosts, SendRate: opts.SendRate, SendRatePerClient: opts.SendRatePerClient, Log: opts.Log,
	})
	return s, nil
}

// common returns the options that a pull has as well.
func (o ServerOptions) common() Options {
	return Options{
		Config: o.Config, Connections: o.Connections, SegmentSize: o.SegmentSize, NoRace: o.NoRace,
		GiveUpAfter: cmp.Or(o.GiveUpAfter, segment.DefaultGiveUp),
		CacheDir:    o.CacheDir, CacheSize: o.CacheSize, History: o.History,
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends all downloads. What has arrived stays in the cache, also of unfinished blobs,
// and the next server or pull continues with it.
func (s *Server) Close() {
	s.handler.Close()
	s.bucket.Close(putGrace)
	s.mirrors.Close()
}

// WriteMetrics writes metrics in the text format of Prometheus.
func (s *Server) WriteMetrics(ctx context.Context, w io.Writer) error {
	s.upstream.WriteMetrics(w)
	s.log.WriteMetrics(w)
	return s.handler.WriteMetrics(ctx, w)
}
