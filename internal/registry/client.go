package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"

	"golang.org/x/sync/semaphore"
)

// Config says how one host is reached. Name and URL are needed.
type Config struct {
	// Name is what errors call the host.
	Name string
	// URL has the scheme (http or https), the host, and perhaps a path. A path
	// with v2 in it is asked as it is written, as /repository/hub/v2; any other
	// is put behind /v2. User, query and fragment are ignored.
	URL *url.URL
	// PlainFallback allows http where URL is https and the port does not speak
	// TLS. Which of them it is shows when the host is first asked.
	PlainFallback bool
	// Namespace is sent as ?ns= when it is not empty, as containerd does to
	// mirrors of several registries.
	Namespace string
	// Header is sent to this host only, where a request has no such field yet.
	Header http.Header
	// TLS is used for this host. For hosts that it redirects to, and its token
	// server elsewhere, its roots count, but neither its certificates, nor its
	// server name, nor InsecureSkipVerify. nil: the system's roots.
	TLS *tls.Config
	// Proxy chooses the proxy of a request. nil: from the environment.
	Proxy func(*http.Request) (*url.URL, error)
	// Login finds what to log in with to host[:port] for a repository. It is
	// asked once a host demands it: this one, or one that it redirects to. An
	// error ends the request. nil: without a login.
	Login func(ctx context.Context, host, repository string) (Login, error)
	// Warn gets what the user should know, in one line. nil: the client drops it.
	Warn func(message string)
	// InsecureStorage allows redirects from https to http.
	InsecureStorage bool
	// PrivateStorage allows a host at a public address to redirect to an
	// address that is not public.
	PrivateStorage bool
	// UserAgent is sent to every host. Empty: "segpull".
	UserAgent string
}

// Client asks one host for manifests and blobs. Close it after use.
type Client struct {
	name      string
	home      *home
	scheme    schemeChoice
	manifests *opener
	blobs     *opener
	foreign   *opener
	redirects redirects
	ranges    rangeMemory
	transport *hostTransport // below manifests and blobs
	stranger  *hostTransport // below foreign
}

// New returns a client of one host. It connects to nothing yet.
func New(cfg Config) *Client {
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "segpull")
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.Login == nil {
		cfg.Login = func(context.Context, string, string) (Login, error) { return Login{}, nil }
	}
	if cfg.Warn == nil {
		cfg.Warn = func(string) {}
	}
	home := newHome(cfg.URL, cfg.Namespace)
	transport := newHostTransport(home, cfg)
	stranger := newForeignTransport(cfg)
	auth := newAuthorizer(cfg)
	return &Client{
		name:      cfg.Name,
		home:      home,
		ranges:    rangeMemory{turn: semaphore.NewWeighted(1)},
		scheme:    schemeChoice{turn: semaphore.NewWeighted(1), settled: !cfg.PlainFallback},
		manifests: &opener{auth.over(manifestRetries.over(transport)), home, cfg.InsecureStorage},
		blobs:     &opener{auth.over(blobRetries.over(transport)), home, cfg.InsecureStorage},
		foreign:   &opener{auth.over(blobRetries.over(stranger)), nil, cfg.InsecureStorage},
		transport: transport,
		stranger:  stranger,
	}
}

// SetWindow limits later connections to so many received bytes that
// the client has not read, before the host has to wait. A rate limit needs that: the
// system's own choice is megabytes for each connection. 0: the system's choice.
func (c *Client) SetWindow(bytes int) {
	c.transport.window.Store(int64(bytes))
	c.stranger.window.Store(int64(bytes))
}

// Close closes the idle connections. Streams that are open stay so until they
// are closed.
func (c *Client) Close() {
	c.transport.closeIdle()
	c.stranger.closeIdle()
}

// endpoint is where a manifest or blob is: kind is "manifests" or "blobs".
func (c *Client) endpoint(repository, kind, reference string) place {
	return place{url: c.home.url().JoinPath(repository, kind, reference), repository: c.home.name(repository)}
}

// fetch is one thing asked for: Op of its errors, where, and how.
type fetch struct {
	op     string
	method string // "" for GET
	at     place
	header http.Header
	via    *opener
}

// open sends the request, follows redirects, and returns the reply if its
// status is 200 or 206. Every error is an *Error.
func (c *Client) open(ctx context.Context, f fetch) (reply, error) {
	r, err := f.via.follow(ctx, f.method, f.at, f.header)
	if err != nil {
		return r, c.failure(ctx, f.op, r.at, err)
	}
	if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusPartialContent {
		defer r.Body.Close()
		e := c.refusal(f.op, r)
		if e.StatusCode == http.StatusBadRequest && (wantsTLS(e.Message) || c.speaksTLS(ctx, r.at)) {
			return r, c.fault(f.op, r.at, speaksHTTPS(r.at))
		}
		return r, e
	}
	c.scheme.answered.Store(true)
	return r, nil
}
