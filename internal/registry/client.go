package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/semaphore"
)

// Config describes one host and how to reach it. Name and URL are required.
type Config struct {
	// Name is the name of the host in errors.
	Name string
	// URL has the scheme (http or https), the host, and perhaps a path. If v2 is a
	// part of the path, as in /repository/hub/v2, the path stays as it is;
	// otherwise requests have it after /v2. User, query and fragment are ignored.
	URL *url.URL
	// API is the beginning of URL's path that is the root of the API, where a part v2
	// does not show it. Then the path stays as it is. Empty: as described for URL.
	API string
	// PlainFallback allows http if URL is https and the port does not speak TLS. The
	// first request finds that out.
	PlainFallback bool
	// Namespace, unless it is empty, is sent as ?ns=, as containerd does to mirrors
	// of several registries.
	Namespace string
	// Header has fields for requests to this host only, unless a request has such a
	// field already.
	Header http.Header
	// TLS is the configuration for this host. For hosts that it redirects to, and
	// for a token server at another host, only its roots count: not its
	// certificates, its server name and InsecureSkipVerify. nil: the system's roots.
	TLS *tls.Config
	// Proxy chooses the proxy of a request. nil: from the environment.
	Proxy func(*http.Request) (*url.URL, error)
	// DialTimeout is how long a connection to the host, or to its proxy, may take to
	// open. 0: 15 s.
	DialTimeout time.Duration
	// Login finds the login for a repository at host[:port]. The client calls it
	// when a host requires one: this host, or one that it redirects to. An error
	// ends the request. nil: no logins.
	Login func(ctx context.Context, host, repository string) (Login, error)
	// Warn reports one line that the user should know. nil: the client drops it.
	Warn func(message string)
	// InsecureStorage allows redirects from https to http.
	InsecureStorage bool
	// PrivateStorage allows a host at a public address to redirect to an
	// address that is not public.
	PrivateStorage bool
	// Push asks for tokens that permit to push, for Upload and PutManifest.
	Push bool
	// UserAgent is the User-Agent for all hosts. Empty: "segpull".
	UserAgent string
}

// Client requests manifests and blobs from one host, and pushes to it. Close it after use.
type Client struct {
	name             string
	home             *home
	scheme           schemeChoice
	manifests        *opener
	blobs            *opener
	foreign          *opener
	changes          *opener // requests that change something, with small bodies
	uploads          *opener // blobs, which are not sent a second time here
	redirects        redirects
	ranges           rangeMemory
	transport        *hostTransport // below manifests and blobs
	foreignTransport *hostTransport // below foreign
}

// New returns a client of one host, without a connection.
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
	home := newHome(cfg.URL, cfg.API, cfg.Namespace)
	transport := newHostTransport(home, cfg)
	foreign := newForeignTransport(cfg)
	auth := newAuthorizer(cfg)
	return &Client{
		name:             cfg.Name,
		home:             home,
		ranges:           rangeMemory{turn: semaphore.NewWeighted(1)},
		scheme:           schemeChoice{turn: semaphore.NewWeighted(1), settled: !cfg.PlainFallback},
		manifests:        &opener{auth.over(manifestRetries.over(transport)), home, cfg.InsecureStorage},
		blobs:            &opener{auth.over(blobRetries.over(transport)), home, cfg.InsecureStorage},
		foreign:          &opener{auth.over(blobRetries.over(foreign)), nil, cfg.InsecureStorage},
		changes:          &opener{auth.over(manifestRetries.over(transport)), home, cfg.InsecureStorage},
		uploads:          &opener{auth.over(transport), home, cfg.InsecureStorage},
		transport:        transport,
		foreignTransport: foreign,
	}
}

// Plain reports whether the host is asked by http, as far as that is known.
func (c *Client) Plain() bool { return c.home.url().Scheme == "http" }

// SetWindow sets how many unread bytes each later connection holds before the host
// has to wait (SO_RCVBUF). Rate limits need a small window: the system chooses
// megabytes for each connection. 0: the system chooses.
func (c *Client) SetWindow(bytes int) {
	c.transport.window.Store(int64(bytes))
	c.foreignTransport.window.Store(int64(bytes))
}

// Close closes the idle connections. Open streams stay open until they are closed.
func (c *Client) Close() {
	c.transport.closeIdle()
	c.foreignTransport.closeIdle()
}

// endpoint is where a manifest or blob is: kind is "manifests" or "blobs".
func (c *Client) endpoint(repository, kind, reference string) place {
	return place{url: c.home.url().JoinPath(repository, kind, reference), repository: c.home.name(repository)}
}

// fetch describes one request: Op of its errors, where, and how.
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
