package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/access"
	"github.com/segpull/segpull/sources"
)

// serveHelp is written by hand, like help.
//
//go:embed serve.txt
var serveHelp string

const (
	// defaultListen is an address that only this machine reaches.
	defaultListen = "127.0.0.1:5050"
	// finishWithin is how long running requests may take when the server ends.
	finishWithin = 3 * time.Second
	// headerTimeout and idleTimeout bound what a connection without a request costs, and
	// mostHeader its headers.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	mostHeader    = 32 << 10
	// lookAtFiles is how often the files with certificates and tokens are looked at.
	lookAtFiles = 10 * time.Second
	// memoryLimit makes the garbage collector keep a server with many clients small.
	memoryLimit = 96 << 20
)

// serveFlags are the flags of serve that pull does not have.
type serveFlags struct {
	listen       []string
	usual        []string // addresses to listen on if there is no --listen
	tagTTL       sources.Duration
	offline      bool
	verifiedOnly bool
	metrics      string
	hosts        []string
	printConfig  string
	logFormat    string
	files        access.Files
}

// defineServe binds the flags. serve.txt describes them.
func (f *flags) defineServe(set *pflag.FlagSet, own *serveFlags) {
	set.StringArrayVar(&own.listen, "listen", nil, "")
	f.defineMirrors(set)
	set.TextVar(&f.limitRate, "limit-rate", sources.Timetable{}, "")
	set.IntVar(&f.connections, "connections", 0, "")
	set.TextVar(&f.segmentSize, "segment-size", sources.Size(0), "")
	f.defineCache(set)
	f.defineCacheSize(set)
	set.TextVar(&own.tagTTL, "tag-ttl", sources.Duration{Duration: time.Minute}, "")
	set.BoolVar(&own.offline, "offline", false, "")
	set.BoolVar(&own.verifiedOnly, "verified-only", false, "")
	set.StringVar(&own.metrics, "metrics", "", "")
	set.StringArrayVar(&own.hosts, "host", nil, "")
	set.StringVar(&own.files.Cert, "tls-cert", "", "")
	set.StringVar(&own.files.Key, "tls-key", "", "")
	set.StringVar(&own.files.ClientCA, "client-ca", "", "")
	set.StringVar(&own.files.Token, "token-file", "", "")
	set.StringVar(&own.printConfig, "print-config", "", "")
	set.StringVar(&own.logFormat, "log-format", "text", "")
}

func (a *app) serveCommand() *cobra.Command {
	own := &serveFlags{}
	cmd := &cobra.Command{
		Use: "serve",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("serve does not know %q%s%s", args[0], seeServeHelp, alsoAnImage("serve"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.set, a.progress = cmd.Flags(), "none"
			return a.serve(cmd.Context(), own)
		},
	}
	a.defineServe(cmd.Flags(), own)
	return cmd
}

const seeServeHelp = "; run 'segpull serve --help'"

// inherit takes from the configuration the values of flags that the command line does not
// have. The configured addresses are not needed if systemd has opened sockets.
func (own *serveFlags) inherit(set *pflag.FlagSet, config sources.Serve) {
	if own.usual = config.Listen; len(own.usual) == 0 {
		own.usual = []string{defaultListen}
	}
	if config.TagTTL != nil && !set.Changed("tag-ttl") {
		own.tagTTL = *config.TagTTL
	}
	if !set.Changed("host") {
		own.hosts = config.Host
	}
	inherit(set, "offline", &own.offline, config.Offline)
	inherit(set, "verified-only", &own.verifiedOnly, config.VerifiedOnly)
	inherit(set, "metrics", &own.metrics, config.Metrics)
	inherit(set, "log-format", &own.logFormat, config.LogFormat)
	inherit(set, "tls-cert", &own.files.Cert, config.TLSCert)
	inherit(set, "tls-key", &own.files.Key, config.TLSKey)
	inherit(set, "client-ca", &own.files.ClientCA, config.ClientCA)
	inherit(set, "token-file", &own.files.Token, config.TokenFile)
}

// addresses are those of --listen, else the usual ones.
func (own *serveFlags) addresses() []string {
	if len(own.listen) > 0 {
		return own.listen
	}
	return own.usual
}

// serve serves until ctx ends.
func (a *app) serve(ctx context.Context, own *serveFlags) error {
	config, err := a.inherit()
	if err != nil {
		return err
	}
	own.inherit(a.set, config.Serve)
	if own.logFormat != "text" && own.logFormat != "json" {
		return usagef("log-format %q is unknown; use text or json%s", own.logFormat, seeServeHelp)
	}
	if err := a.findMirrors(ctx, &config); err != nil {
		return err
	}
	served := sources.Server{Config: config, Mirrors: a.mirrors}
	guard, err := access.NewGuard(own.files)
	if err != nil {
		return usagef("%v", err)
	}
	if own.printConfig != "" {
		return a.printConfig(own, served, guard)
	}
	log := a.newLog(own.logFormat)
	a.tellDoubts(logObserver{log})
	listeners, err := own.open(ctx, log)
	if err != nil {
		return err
	}
	defer listeners.close()
	listeners.admit(guard, config.Serve, log)
	if public := listeners.public(); public != "" {
		if err := mayBePublic(public, guard, served, log); err != nil {
			return err
		}
	}
	rate, _ := a.limitRate.At(time.Now())
	limits := segpull.NewLimits(int64(rate))
	server, err := a.newServer(own, config, limits, listeners, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go keepGuard(ctx, guard, log)
	go a.keepLimits(ctx, limits, config, logObserver{log}, cancel)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	return listeners.serve(ctx, server, log, func(address string) { a.announce(own, log, address) })
}

// mayBePublic returns an error if other machines must not reach the server, and warns of what
// they can do.
func mayBePublic(address string, guard *access.Guard, served sources.Server, log *slog.Logger) error {
	secure := guard.Identifies() && guard.TLS() != nil
	switch {
	case served.Private() && !secure:
		return usagef("a mirror has private = true, and %s can be reached from other machines, which would get its images: use --listen with an address on loopback, or --tls-cert and --tls-key with --client-ca or --token-file", address)
	case guard.Identifies() && !secure:
		log.Warn("the network between clients and " + address + " can read their tokens: use --tls-cert and --tls-key")
	case !guard.Identifies():
		log.Warn("all who can reach " + address + " can pull images from this server")
	}
	return nil
}

// keepGuard reads the files of a guard again, after SIGHUP and when one has changed, until
// ctx ends.
func keepGuard(ctx context.Context, guard *access.Guard, log *slog.Logger) {
	if !guard.HasFiles() {
		return
	}
	hangup := make(chan os.Signal, 1)
	notifyHangup(hangup)
	defer signal.Stop(hangup)
	look := time.NewTicker(lookAtFiles)
	defer look.Stop()
	for {
		select {
		case <-hangup:
		case <-look.C:
			if !guard.Changed() {
				continue
			}
		case <-ctx.Done():
			return
		}
		if err := guard.Reload(); err != nil {
			log.Error("cannot read the new certificates or tokens, so the current ones stay", "error", err)
		} else {
			log.Info("read the certificates and tokens again")
		}
	}
}

func (a *app) newServer(own *serveFlags, config sources.Config, limits *segpull.Limits, l *listeners, log *slog.Logger) (*segpull.Server, error) {
	dir := cmp.Or(a.cacheDir, cache.DefaultDir())
	if dir == "" {
		return nil, usagef("no home directory, so the cache has no default place: name it with --cache-dir")
	}
	for _, doubt := range a.doubts {
		log.Warn(doubt)
	}
	ttl := own.tagTTL.Duration
	if ttl == 0 {
		ttl = -1
	}
	return segpull.NewServer(segpull.ServerOptions{
		Mirrors:      a.mirrors,
		Config:       config,
		Authfile:     a.authfile,
		Limits:       limits,
		Connections:  a.connections,
		SegmentSize:  int64(a.segmentSize),
		GiveUpAfter:  a.giveUpAfter.Duration,
		NoRace:       a.noRace,
		CacheDir:     dir,
		CacheSize:    int64(a.cacheSize),
		History:      sources.HistoryPath(),
		TagTTL:       ttl,
		Offline:      own.offline,
		VerifiedOnly: own.verifiedOnly,
		Hosts:        slices.Concat(own.hosts, l.names()),
		Addresses:    l.addresses(),
		Log:          log,

		SendRate:          int64(config.Serve.SendRate),
		SendRatePerClient: int64(config.Serve.SendRatePerClient),
	})
}

func (a *app) newLog(format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, nil))
	}
	return slog.New(slog.NewTextHandler(a.stderr, nil))
}

// announce says that clients may connect to an address.
func (a *app) announce(own *serveFlags, log *slog.Logger, address string) {
	if own.logFormat == "json" {
		log.Info("listening on " + address)
		return
	}
	fmt.Fprintf(a.stderr, "listening on %s\n", address) // for programs that wait for it
}

// logObserver logs the warnings of keepLimits.
type logObserver struct{ log *slog.Logger }

// Observe implements segpull.Observer.
func (l logObserver) Observe(e segpull.Event) {
	if w, ok := e.(segpull.Warning); ok {
		l.log.Warn(w.Message)
	}
}

// serve serves until ctx ends. Running requests have finishWithin to end then; what they
// did not get stays in the cache.
func (l *listeners) serve(ctx context.Context, server *segpull.Server, log *slog.Logger, ready func(address string)) error {
	images, metrics := newHTTPServer(l.guard.Handler(server), log), newHTTPServer(metricsHandler(server), log)
	images.ConnState = l.connections.State
	group, failed := errgroup.WithContext(ctx)
	run := func(s *http.Server, at net.Listener) {
		group.Go(func() error {
			if err := s.Serve(at); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	for _, at := range l.images {
		run(images, at)
		ready(l.address(at))
	}
	if l.metrics != nil {
		run(metrics, l.metrics)
	}
	notify("READY=1")
	<-failed.Done()
	notify("STOPPING=1")
	limit, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	_ = images.Shutdown(limit) // the error is that it took too long
	server.Close()
	return errors.Join(images.Close(), metrics.Close(), group.Wait())
}

func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: mostHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
}

// metricsHandler serves what monitoring asks for.
func metricsHandler(server *segpull.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		if err := server.WriteMetrics(r.Context(), &b); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		fmt.Fprintf(w, "%s# HELP segpull_build_info The version of segpull.\n# TYPE segpull_build_info gauge\nsegpull_build_info{version=%q} 1\n", b.String(), buildVersion())
	})
	for _, path := range []string{"GET /livez", "GET /readyz", "GET /healthz"} {
		mux.Handle(path, server)
	}
	return mux
}
