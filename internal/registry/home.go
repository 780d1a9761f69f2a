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

// home is the URL of the API of the source's own host. Only its scheme changes: see
// Client.chooseScheme.
type home struct {
	at    atomic.Pointer[url.URL] // such as /v2, /v2/prefix, or /repository/hub/v2/prefix
	under string                  // the path up to v2, which is the root of the API
}

// newHome reads the address of a source. If v2 is a part of the path, or api is set, the
// path stays as it is; otherwise it follows /v2.
func newHome(u *url.URL, api, namespace string) *home {
	p := path.Clean("/" + u.Path)
	segments := strings.Split(p, "/")
	v2 := slices.Index(segments, "v2")
	if v2 < 0 && api == "" {
		p = path.Join("/v2", p)
		segments, v2 = strings.Split(p, "/"), 1
	}
	h := &home{under: strings.TrimSuffix(api, "/")}
	if api == "" {
		h.under = strings.Join(segments[:v2+1], "/")
	}
	base := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: p}
	if namespace != "" {
		base.RawQuery = url.Values{"ns": {namespace}}.Encode()
	}
	h.at.Store(base)
	return h
}

func (h *home) url() *url.URL { return h.at.Load() }

// is reports whether u is a URL of the host; of a nil home, none is.
func (h *home) is(u *url.URL) bool { return h != nil && sameOrigin(u, h.url()) }

// root returns the URL /v2/, which answers with a challenge.
func (h *home) root() string {
	u := *h.url()
	u.Path = h.under + "/"
	return u.String()
}

// name returns the name of a repository at the host: a prefix in the host's address
// is part of it.
func (h *home) name(repository string) string {
	return strings.TrimPrefix(path.Join(h.url().Path, repository), h.under+"/")
}

// repositoryIn does the same as the function repositoryIn for a URL of the host,
// whose API may be behind a path that looks like that of a repository.
func (h *home) repositoryIn(u *url.URL) string {
	rest, ok := strings.CutPrefix(u.EscapedPath(), (&url.URL{Path: h.under}).EscapedPath())
	if !ok {
		return ""
	}
	return repositoryIn("/v2" + rest)
}

// hostPort returns the host of u in lower case, with its port, also a default port.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// isLoopback reports whether a host is an address of this machine, or localhost.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
