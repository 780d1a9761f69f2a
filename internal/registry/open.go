package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/go-retryablehttp"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxHops bounds the redirects of one request; registries need one or two.
const maxHops = 5

var (
	errTooManyRedirects = errors.New("redirected more than 5 times")
	errBadLocation      = errors.New("redirected without a usable Location")
	errDowngrade        = errors.New("redirected from https to http, which is refused")
)

// opener sends requests: with credentials to its own host, plainly to others.
type opener struct {
	base  *url.URL // nil: no host is its own
	own   *auth.Client
	plain *http.Client
}

func newOpener(cfg Config, base *url.URL, transport http.RoundTripper, policy retries, cache auth.Cache) *opener {
	retrying := &retryablehttp.RoundTripper{Client: policy.client(transport)}
	return &opener{
		base: base,
		own: &auth.Client{
			Client:     lastHop(&authTransport{next: retrying, base: base, source: cfg.Name}),
			Credential: named(cfg.Name, cfg.Credential),
			Cache:      cache,
			ClientID:   "segpull",
		},
		plain: lastHop(retrying),
	}
}

// lastHop returns an HTTP client that hands redirects over as they are.
func lastHop(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// follow asks u and whatever it redirects to. It returns the first response
// that is no redirect, and the URL that it came from or failed at.
func (o *opener) follow(ctx context.Context, method string, u *url.URL, header http.Header) (*http.Response, *url.URL, error) {
	own := true
	for range maxHops + 1 {
		// Having left its host for another, a request has no rights there
		// any more, even if it is sent back.
		own = own && o.base != nil && sameOrigin(u, o.base)
		resp, err := o.send(ctx, method, u, header, own)
		if err != nil || !redirected(resp) {
			return resp, u, err
		}
		resp.Body.Close()
		location := resp.Header.Get("Location")
		next, err := u.Parse(location)
		switch {
		case err != nil || location == "" || next.Host == "" || (next.Scheme != "http" && next.Scheme != "https"):
			return nil, u, errBadLocation
		case u.Scheme == "https" && next.Scheme == "http":
			return nil, u, errDowngrade
		}
		next.User = nil // net/http would log in by it, wherever a host sends us
		u = next
	}
	return nil, u, errTooManyRedirects
}

func (o *opener) send(ctx context.Context, method string, u *url.URL, header http.Header, own bool) (*http.Response, error) {
	if own {
		ctx = withAttempt(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	if own {
		return o.own.Do(req)
	}
	return o.plain.Do(req)
}

func redirected(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// sameOrigin compares scheme, host and port (RFC 6454).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && hostPort(a) == hostPort(b)
}

// hostPort is u's host in lower case, with the port that it stands for.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
