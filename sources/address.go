package sources

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/segpull/segpull/internal/credentials"
)

// isRegistry reports whether a name is a host as references have it: with a
// dot or a port, or localhost.
func isRegistry(name string) bool {
	u, err := url.Parse("https://" + name)
	return err == nil && u.Host == name && u.Hostname() != "" &&
		(strings.ContainsAny(name, ".:") || name == "localhost")
}

// originURL returns where a registry is.
func originURL(registry string) string {
	registry = credentials.Canonical(registry)
	if registry == dockerHub {
		return "https://registry-1.docker.io"
	}
	return "https://" + registry
}

// isInsecure reports whether a host may be asked by http, as docker and
// containerd do it on loopback, and docker for what daemon.json lists in the
// same way: a host, host:port, or network.
func isInsecure(host string, listed []string) bool {
	name := (&url.URL{Host: host}).Hostname()
	if isLoopback(name) {
		return true
	}
	addr, _ := netip.ParseAddr(name)
	return slices.ContainsFunc(listed, func(entry string) bool {
		if network, err := netip.ParsePrefix(entry); err == nil {
			return network.Contains(addr)
		}
		return strings.EqualFold(entry, host) || strings.EqualFold(entry, name) || credentials.Canonical(entry) == credentials.Canonical(host)
	})
}

// isLoopback knows the addresses of RFC 1122 and RFC 4291, and localhost with
// all below it (RFC 6761).
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// parseURL reads the address of a mirror. A prefix may be written with or
// without the leading /v2/ before it; a path with v2 further on, such as
// /repository/hub/v2, is used as it is written.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		if e, ok := err.(*url.Error); ok {
			err = e.Err // without the URL, which may hold a password
		}
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("its URL does not begin with http:// or https://")
	case u.Hostname() == "":
		return nil, fmt.Errorf("the URL has no host")
	case !isPort(u.Port()):
		return nil, fmt.Errorf("port %s is invalid: ports are 1 to 65535", u.Port())
	case u.User != nil:
		return nil, fmt.Errorf("the URL contains a password: remove it, and run docker login %s", u.Host)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the URL has a query or a fragment, which segpull does not support")
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix == "v2" {
		prefix = ""
	}
	prefix = strings.TrimPrefix(prefix, "v2/")
	for _, segment := range strings.Split(prefix, "/") {
		if segment == "." || segment == ".." || segment == "" && prefix != "" {
			return nil, fmt.Errorf("the path %q has an empty part or dots", u.Path)
		}
	}
	if prefix != "" {
		prefix = "/" + prefix
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: prefix}, nil
}

// isPort reports whether a URL may have this port; "" is the scheme's.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0
}

// isLabel reports whether s is one label of a host name (RFC 1123), so that an
// id cannot lead to another host.
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// shown returns a name without the password or query that a URL may hold.
func shown(name string) string {
	scheme, rest, ok := strings.Cut(name, "://")
	if !ok {
		return name
	}
	rest, _, _ = strings.Cut(rest, "?")
	return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
}
