package registry

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
)

// home is where the API of the source's own host is. Only its scheme ever
// changes: see Client.chooseScheme.
type home struct {
	at    atomic.Pointer[url.URL] // as /v2, /v2/prefix, or /repository/hub/v2/prefix
	under string                  // the path up to v2, where the API's root is
}

// newHome reads the address of a source. A path with v2 in it is asked as it
// is written; any other path is put behind /v2.
func newHome(u *url.URL, namespace string) *home {
	p := path.Clean("/" + u.Path)
	segments := strings.Split(p, "/")
	v2 := slices.Index(segments, "v2")
	if v2 < 0 {
		p = path.Join("/v2", p)
		segments, v2 = strings.Split(p, "/"), 1
	}
	h := &home{under: strings.Join(segments[:v2+1], "/")}
	base := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: p}
	if namespace != "" {
		base.RawQuery = url.Values{"ns": {namespace}}.Encode()
	}
	h.at.Store(base)
	return h
}

func (h *home) url() *url.URL { return h.at.Load() }

// is reports whether u is at the host; no URL is at a home that is nil.
func (h *home) is(u *url.URL) bool { return h != nil && sameOrigin(u, h.url()) }

// root is the URL that challenges clients without a login.
func (h *home) root() string {
	u := *h.url()
	u.Path = h.under + "/"
	return u.String()
}

// name is what the host calls a repository: a prefix in its address is part of
// the name.
func (h *home) name(repository string) string {
	return strings.TrimPrefix(path.Join(h.url().Path, repository), h.under+"/")
}

// repositoryIn is repositoryIn for a URL at the host, whose API may be behind
// a path that looks like another.
func (h *home) repositoryIn(u *url.URL) string {
	rest, ok := strings.CutPrefix(u.EscapedPath(), (&url.URL{Path: h.under}).EscapedPath())
	if !ok {
		return ""
	}
	return repositoryIn("/v2" + rest)
}

// hostPort is u's host in lower case, with its port, also the default one.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
