package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"path"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Config says how one host is reached. Name and URL are needed.
type Config struct {
	// Name is what errors call the host.
	Name string
	// URL has the scheme (http or https), the host, and perhaps a path, which
	// is put behind /v2/. User, query and fragment are ignored.
	URL *url.URL
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
	// Credential finds what to log in with to host[:port], as it stands in
	// URL. It is asked once the host demands it. nil: anonymous.
	Credential func(ctx context.Context, hostport string) (auth.Credential, error)
	// UserAgent is sent to every host. Empty: "segpull".
	UserAgent string
}

// Client asks one host for manifests and blobs. Close it after use.
type Client struct {
	name      string
	base      *url.URL // path is /v2[/prefix], query has ns
	manifests *opener
	blobs     *opener
	foreign   *opener
	redirects redirects
	transport *hostTransport // below manifests and blobs
	stranger  *hostTransport // below foreign
}

// New returns a client of one host. It connects to nothing yet.
func New(cfg Config) *Client {
	base := &url.URL{Scheme: cfg.URL.Scheme, Host: cfg.URL.Host, Path: path.Join("/v2", cfg.URL.Path)}
	if cfg.Namespace != "" {
		base.RawQuery = url.Values{"ns": {cfg.Namespace}}.Encode()
	}
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "segpull")
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport := newHostTransport(base, cfg)
	stranger := newForeignTransport(cfg)
	cache := new(tokenCache)
	return &Client{
		name:      cfg.Name,
		base:      base,
		manifests: newOpener(cfg, base, transport, manifestRetries, cache),
		blobs:     newOpener(cfg, base, transport, blobRetries, cache),
		foreign:   newOpener(cfg, nil, stranger, blobRetries, nil),
		transport: transport,
		stranger:  stranger,
	}
}

// SetWindow has connections from now on receive at most so many bytes that
// nobody has read, before the host has to wait. A rate limit needs that: the
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

// endpoint is the URL of a manifest or blob: kind is "manifests" or "blobs".
func (c *Client) endpoint(repository, kind, reference string) *url.URL {
	return c.base.JoinPath(repository, kind, reference)
}

// scope is that of a token to pull from repository. A mirror with a path counts
// it as part of the name.
func (c *Client) scope(repository string) string {
	name := strings.TrimPrefix(c.base.Path+"/"+repository, "/v2/")
	return auth.ScopeRepository(name, auth.ActionPull)
}

// fetch is one thing asked for: Op of its errors, where, and how.
type fetch struct {
	op     string
	method string // "" for GET
	url    *url.URL
	scope  string // of the token, "" for none
	header http.Header
	via    *opener
}

// open sends the request, follows redirects, and returns the response if its
// status is 200 or 206 and nobody encoded it. Every error is an *Error.
func (c *Client) open(ctx context.Context, f fetch) (*http.Response, error) {
	resp, at, err := f.via.follow(auth.WithScopes(ctx, f.scope), f.method, f.url, f.header)
	if err != nil {
		return nil, c.failure(ctx, f.op, at, err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		defer resp.Body.Close()
		return nil, c.refusal(f.op, resp)
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		resp.Body.Close()
		return nil, c.fault(f.op, at, mismatch("Content-Encoding %q where identity was", encoding))
	}
	return resp, nil
}
