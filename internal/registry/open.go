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

// ErrInsecureStorage and ErrPrivateStorage are the errors, for errors.Is, of redirects
// that Config does not allow.
var (
	ErrInsecureStorage = permanent("it redirects from https to http, which segpull refuses")
	ErrPrivateStorage  = permanent("segpull refuses this redirect: its target is not a public address")
)

// opener sends requests, with authorization to the hosts that require it, and follows
// redirects one by one.
type opener struct {
	auth     authorizer
	home     *home // nil: no host is the source's own
	insecure bool  // a redirect may lead from https to http
}

// reply is the result of a request.
type reply struct {
	*http.Response
	at         *url.URL // the URL that answered
	repository string   // its name at the host
	plain      bool     // a redirect led to at, and the request had no authorization
	refused    Login    // the login that the host refused
}

// place is the target of a request.
type place struct {
	url        *url.URL
	repository string // its name at the host; "": only the source's own host gets authorization
	plain      bool   // without authorization
}

// follow sends a request to p and follows its redirects. It returns the first reply
// that is not a redirect. With an error, the reply has the URL that failed.
func (o *opener) follow(ctx context.Context, method string, p place, header http.Header) (reply, error) {
	left := !o.home.is(p.url)
	for hop := range maxHops + 1 {
		r, err := o.ask(ctx, method, p, header, hop > 0)
		if err == nil && o.home.is(p.url) {
			reportQuota(ctx, r.Header)
		}
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

// place returns the target of a redirect. A request to another host than the source's
// own gets authorization only if its URL is one of a registry's API.
func (o *opener) place(u *url.URL, repository string, left bool) place {
	if !o.home.is(u) {
		return place{url: u, repository: repositoryIn(u.EscapedPath()), plain: isSigned(u)}
	}
	if named := o.home.repositoryIn(u); named != "" {
		return place{url: u, repository: named, plain: isSigned(u)}
	}
	return place{url: u, repository: repository, plain: left || isSigned(u)}
}

// ask sends one request. A URL from a host may have its own authorization (a
// signature), and some hosts refuse it with a second one.
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
		return r, nil // the first answer counts
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

// target describes the authorization of a request to p. A host that a redirect leads
// to may require its own login only for a URL of a registry's API, and only by https
// or on this machine: any host can redirect to any other, and others can read http.
func (o *opener) target(p place) (t target, known bool) {
	t = target{scheme: p.url.Scheme, host: p.url.Host, repository: p.repository}
	if o.home.is(p.url) {
		t.greet = o.home.root()
		return t, true
	}
	if o.home == nil || p.repository == "" {
		return t, false
	}
	t.noLogin = p.url.Scheme == "http" && !isLoopback(p.url.Hostname())
	return t, true
}

// redirect reads the field Location.
func (o *opener) redirect(from *url.URL, location string) (*url.URL, error) {
	next, err := from.Parse(location)
	switch {
	case err != nil || location == "" || !mayName(from, next):
		return nil, errBadLocation
	case from.Scheme == "https" && next.Scheme == "http" && !o.insecure:
		return nil, ErrInsecureStorage
	}
	next.User = nil // net/http would send it as a login to any host
	return next, nil
}

// mayName reports whether the host at from may redirect to u: by http or https, and
// to a host name in ASCII (RFC 3986, section 3.2.2). In lower case, other names can
// look like a different host: "İ" becomes "i".
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

// isSigned reports whether a URL has its own authorization, as those of S3, Google,
// Azure, Alibaba, Tencent and CloudFront have.
func isSigned(u *url.URL) bool {
	for key := range u.Query() {
		if key = strings.ToLower(key); key == "sig" || strings.HasSuffix(key, "signature") {
			return true
		}
	}
	return false
}

// apiPath matches only names of the distribution specification, so that none has "..",
// a scope, or an encoded slash.
var apiPath = regexp.MustCompile(`/v2/(\w[\w.-]*(?:/\w[\w.-]*)*)/(?:manifests|blobs)/[^/]+$`)

// repositoryIn returns the repository in an escaped path of a registry's API, or "" for
// another path.
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
