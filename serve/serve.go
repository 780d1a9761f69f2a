package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"

	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/transfer"
)

const (
	// DefaultTagTTL is how long the digest of a tag is used without asking again.
	DefaultTagTTL = time.Minute
	// DefaultPauseAfter is how long a download goes on that no client waits for.
	DefaultPauseAfter = time.Minute
	// DefaultWaitForOther is how long a download waits for another server: engines leave
	// after 30 s without a byte.
	DefaultWaitForOther = 20 * time.Second
)

// Upstream is where a Handler gets what the cache does not have. Its methods may be called
// from many goroutines, and end with their context. Their errors may have the methods
// Missing, Refused, Busy and RetryAfter of package sources.
type Upstream interface {
	// Serves reports whether images of a registry may be served.
	Serves(registry string) bool
	// Claim returns the digest of ref's tag, "" if the source does not say it, and the
	// name of the source.
	Claim(ctx context.Context, ref image.Reference) (d digest.Digest, source string, err error)
	// Manifest returns a manifest or an index by ref's digest or, without one, by its
	// tag, with the media type of the answer, which may be anything, and the name of the
	// source that resolved the tag.
	Manifest(ctx context.Context, ref image.Reference) (mediaType string, body []byte, source string, err error)
	// Reject says that the last answer to ref's tag is no manifest, and returns whether
	// another source is left.
	Reject(ref image.Reference, reason error) (more bool)
	// Size returns the bytes of the blob that ref's digest names, as a source says.
	Size(ctx context.Context, ref image.Reference) (int64, error)
	// Transfer returns a transfer that is kept open, for blobs of ref's repository, and
	// the names of its sources for cache.Begin. The caller runs it.
	Transfer(ref image.Reference) (t *transfer.Transfer, sources []string, err error)
	// Ended is called with a transfer whose Run has returned.
	Ended(t *transfer.Transfer)
	// Via returns a context for the methods above and for Transfer.Run, whose requests have
	// the field Via.
	Via(ctx context.Context, via string) context.Context
}

// Options say how to serve.
type Options struct {
	Cache    *cache.Cache
	Upstream Upstream
	// Bucket is where other servers may have put blobs that the cache lacks; nil: nowhere.
	// The transfers of Upstream have it as their Options.Shared.
	Bucket *bucket.Store
	// TagTTL is how long the digest of a tag is used without asking again.
	TagTTL time.Duration
	// PauseAfter is how long a download goes on that no client waits for. 0: a minute.
	PauseAfter time.Duration
	// WaitForOther is how long a download waits for a blob that another server fetches into
	// Bucket, unless VerifiedOnly is set. 0: 20 s.
	WaitForOther time.Duration
	// Offline serves what the cache has, and asks nobody.
	Offline bool
	// VerifiedOnly sends no byte of a blob before its digest is right.
	VerifiedOnly bool
	// Hosts are names by which clients call the server, without ports, beside the
	// address that they connect to and, on loopback, localhost.
	Hosts []string
	// SendRate is how many bytes a second all clients get together, of which those who
	// wait have equal shares. 0: no limit.
	SendRate int64
	// SendRatePerClient is how many bytes a second an address gets, or an IPv6 network of
	// 64 bits. 0: no limit.
	SendRatePerClient int64
	// Log receives a line for each image and each trouble. nil: nothing is logged.
	Log *slog.Logger
}

// Handler serves images. It is safe for concurrent use.
type Handler struct {
	opts      Options
	name      string // in Via
	metrics   *metrics
	pace      *pace           // nil: no limit
	lifetime  context.Context // of everything that outlives a request
	stop      context.CancelFunc
	running   sync.WaitGroup
	resolving singleflight.Group
	transfers chan struct{} // one for each that runs

	mu           sync.Mutex // guards what follows
	closed       bool
	silent       map[string]time.Time        // registries of which nobody answered, and when
	unavailable  map[digest.Digest]time.Time // blobs that no source had, and when
	downloads    map[digest.Digest]*download
	repositories map[string]*repository
}

// New returns a handler. Close ends what it runs.
func New(opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.PauseAfter = cmp.Or(opts.PauseAfter, DefaultPauseAfter)
	opts.WaitForOther = cmp.Or(opts.WaitForOther, DefaultWaitForOther)
	lifetime, stop := context.WithCancel(context.Background())
	return &Handler{
		opts: opts, name: newName(), metrics: newMetrics(), pace: newPace(opts.SendRate, opts.SendRatePerClient), lifetime: lifetime, stop: stop,
		transfers:    make(chan struct{}, mostTransfers),
		silent:       make(map[string]time.Time),
		unavailable:  make(map[digest.Digest]time.Time),
		downloads:    make(map[digest.Digest]*download),
		repositories: make(map[string]*repository),
	}
}

// Close ends all downloads, whose bytes stay in the cache, and returns when that is done.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.running.Wait()
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := newResponse(w)
	defer out.end()
	switch r.URL.Path {
	case "/livez", "/readyz", "/healthz":
		h.serveHealth(out, r)
		return
	}
	defer h.pace.join(out, r)()
	if !h.isOurs(r) {
		fail(out, http.StatusMisdirectedRequest, codeDenied, errors.New("the Host header is not a name of this server: add it with --host"))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		out.Header().Set("Allow", "GET, HEAD")
		fail(out, http.StatusMethodNotAllowed, codeUnsupported, errors.New("segpull serve is read-only"))
		return
	}
	via, err := h.via(r)
	if err != nil {
		fail(out, http.StatusNotFound, codeNameUnknown, err)
		return
	}
	r = r.WithContext(h.withVia(r.Context(), via))
	out.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	t, err := parseURL(r.URL)
	switch {
	case err != nil:
		fail(out, http.StatusNotFound, codeUnsupported, err)
	case t.kind == kindPing:
		out.Header().Set("Content-Type", "application/json")
		_, _ = out.Write([]byte("{}"))
	default:
		h.serveTarget(out, r, t)
	}
}

func (h *Handler) serveTarget(w *response, r *http.Request, t target) {
	ref, err := t.resolve(h.opts.Upstream.Serves)
	if err != nil {
		fail(w, http.StatusNotFound, codeNameUnknown, err)
		h.metrics.count(t.kind, "", missed, w)
		return
	}
	var o origin
	defer func() { h.metrics.count(t.kind, ref.Registry, o, w) }()
	if t.kind == kindManifest {
		o = h.serveManifest(w, r, ref)
		return
	}
	o = h.serveBlob(w, r, ref)
}

// serveHealth answers probes: they may use any name for the server.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed && r.URL.Path != "/livez" {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// isOurs reports whether the Host header is the address that the client has connected
// to, or a name of the server: a web page can make a browser connect here under its own
// name, but not change that (DNS rebinding).
func (h *Handler) isOurs(r *http.Request) bool {
	if r.TLS != nil {
		return true // a browser has checked the certificate against the name
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ok && local.Network() == "unix" {
		return true // no browser reaches it
	}
	host := hostname(r.Host)
	if slices.ContainsFunc(h.opts.Hosts, func(name string) bool { return strings.EqualFold(name, host) }) {
		return true
	}
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return at.Addr().Unmap().IsLoopback()
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap() == at.Addr().Unmap().WithZone("")
}

// hostname returns a Host header without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// describe returns the descriptor of a blob, of which the size is known if a manifest has
// named it.
func (h *Handler) describe(ctx context.Context, ref image.Reference) (ocispec.Descriptor, error) {
	d, err := h.opts.Cache.Describe(ref.Digest)
	if err == nil && d.Size > 0 {
		return d, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	size, err := h.opts.Upstream.Size(ctx, ref)
	return ocispec.Descriptor{Digest: ref.Digest, Size: size}, err
}
