package registry

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// maxHops bounds the redirects of one request; registries need one or two.
const maxHops = 5

var (
	errTooManyRedirects = permanent("redirected more than 5 times")
	errBadLocation      = permanent("redirected without a usable Location")
)

// ErrInsecureStorage and ErrPrivateStorage say where a host may not redirect to,
// unless Config allows it. They are found by errors.Is.
var (
	ErrInsecureStorage = permanent("it redirects from https to http, which segpull refuses")
	ErrPrivateStorage  = permanent("segpull refuses this redirect: its target is not a public address")
)

// opener sends requests with authorization to the hosts that ask for it, and
// follows redirects one by one.
type opener struct {
	auth     authorizer
	home     *home // nil: no host is the source's own
	insecure bool  // a redirect may lead from https to http
}

// reply is the result of a request.
type reply struct {
	*http.Response
	at         *url.URL // that it came from
	repository string   // as the host calls it
	plain      bool     // a redirect led to at, which was asked without authorization
	refused    Login    // the login that the host refused
}

// place is where to ask.
type place struct {
	url        *url.URL
	repository string // as the host calls it; "": no host but the source's own gets authorization
	plain      bool   // without authorization
}

// follow asks at p and wherever that redirects to, and returns the first reply
// that is not a redirect. With an error, the reply has the URL that failed.
func (o *opener) follow(ctx context.Context, method string, p place, header http.Header) (reply, error) {
	left := !o.home.is(p.url)
	for hop := range maxHops + 1 {
		r, err := o.ask(ctx, method, p, header, hop > 0)
		if err != nil || !redirected(r.Response) {
			return r, err
		}
		r.Body.Close()
		next, err := o.redirect(p.url, r.Header.Get("Location"))
		if err != nil {
			return reply{at: p.url}, err
		}
		left = left || !o.home.is(next)
		p = o.place(next, p.repository, left)
	}
	return reply{at: p.url}, errTooManyRedirects
}

// place is where a redirect leads to. A request that has left the source's own
// host has no rights there any more, unless it is one for a registry's API.
func (o *opener) place(u *url.URL, repository string, left bool) place {
	if !o.home.is(u) {
		return place{url: u, repository: repositoryIn(u.EscapedPath()), plain: isSigned(u)}
	}
	if named := o.home.repositoryIn(u); named != "" {
		return place{url: u, repository: named, plain: isSigned(u)}
	}
	return place{url: u, repository: repository, plain: left || isSigned(u)}
}

// ask sends one request. A link that a host gave may carry its own
// authorization, and be refused where a second one comes with it.
func (o *opener) ask(ctx context.Context, method string, p place, header http.Header, redirect bool) (reply, error) {
	r := reply{at: p.url, repository: p.repository, plain: p.plain}
	req, err := http.NewRequestWithContext(ctx, method, p.url.String(), nil)
	if err != nil {
		return r, err
	}
	req.Header = header.Clone()
	t, known := o.target(p)
	if p.plain || !known {
		r.Response, err = o.auth.next.RoundTrip(req)
		return r, err
	}
	r.Response, r.refused, err = o.auth.do(req, t)
	if err != nil || !redirect || !wantsNoAuthorization(r.StatusCode) {
		return r, err
	}
	without, err := o.auth.next.RoundTrip(req)
	switch {
	case err != nil:
		return r, nil // the first answer stands
	case without.StatusCode >= 300:
		without.Body.Close()
		return r, nil
	}
	r.Body.Close()
	return reply{Response: without, at: p.url, repository: p.repository, plain: true}, nil
}

func wantsNoAuthorization(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// target says how p is authorized. Hosts that a redirect leads to may ask for
// their own login where a registry's API is, on https or on this very machine
// alone: any host can lead to any other, and http can be read on the way.
func (o *opener) target(p place) (t target, known bool) {
	t = target{scheme: p.url.Scheme, host: p.url.Host, repository: p.repository}
	if o.home.is(p.url) {
		t.greet = o.home.root()
		return t, true
	}
	if o.home == nil || p.repository == "" {
		return t, false
	}
	t.stranger = p.url.Scheme == "http" && !isLoopback(p.url.Hostname())
	return t, true
}

// redirect reads a Location.
func (o *opener) redirect(from *url.URL, location string) (*url.URL, error) {
	next, err := from.Parse(location)
	switch {
	case err != nil || location == "" || !mayName(from, next):
		return nil, errBadLocation
	case from.Scheme == "https" && next.Scheme == "http" && !o.insecure:
		return nil, ErrInsecureStorage
	}
	next.User = nil // net/http would log in by it, wherever a host sends us
	return next, nil
}

// mayName reports whether the host at from may name u: by http or https, and
// with a host of ASCII, as URIs have (RFC 3986, section 3.2.2). In lower case,
// others can look like a host that DNS distinguishes from them: "İ" becomes "i".
func mayName(from, u *url.URL) bool {
	other := func(r rune) bool { return r > unicode.MaxASCII }
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		(u.Host == from.Host || !strings.ContainsFunc(u.Host, other))
}

func redirected(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// isSigned reports whether a link carries its own authorization, as those of
// S3, Google's, Azure's, Alibaba's, Tencent's and CloudFront's storage do.
func isSigned(u *url.URL) bool {
	for key := range u.Query() {
		if key = strings.ToLower(key); key == "sig" || strings.HasSuffix(key, "signature") {
			return true
		}
	}
	return false
}

// apiPath has names as registries have them, so that none holds "..", a scope,
// or an encoded slash.
var apiPath = regexp.MustCompile(`/v2/(\w[\w.-]*(?:/\w[\w.-]*)*)/(?:manifests|blobs)/[^/]+$`)

// repositoryIn is the repository that an escaped path of some registry is
// about, "" for a path of another kind.
func repositoryIn(path string) string {
	if m := apiPath.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

// sameOrigin compares scheme, host and port (RFC 6454).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && hostPort(a) == hostPort(b)
}
