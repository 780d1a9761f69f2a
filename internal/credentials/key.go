package credentials

import (
	"cmp"
	"slices"
	"strings"
)

const (
	// dockerHub is the host that references to Docker Hub name.
	dockerHub = "docker.io"
	// dockerHubServer is the key under which docker login stores Docker Hub.
	dockerHubServer = "https://index.docker.io/v1/"
)

// key is a key of a file, taken apart: one that covers a whole host, or one
// that covers the repositories below a path.
type key struct {
	written string // as the file spells it
	scheme  string // "https", "http", or "" where none is written
	host    string // canonical
	path    string // "" for a whole host, else "team" or "team/app"
}

// parseKey takes a key of a file apart. A path "v1" or "v2" is the root of the
// registry protocol, not a repository. Every text is a key; those that make no
// sense match no host.
func parseKey(written string) key {
	k := key{written: written}
	rest := written
	if scheme, after, found := strings.Cut(written, "://"); found {
		switch scheme = strings.ToLower(scheme); scheme {
		case "http", "https":
			k.scheme, rest = scheme, after
		}
	}
	host, path, _ := strings.Cut(strings.TrimRight(rest, "/"), "/")
	if path == "v1" || path == "v2" {
		path = ""
	}
	k.host, k.path = Canonical(host), path
	return k
}

// Canonical returns the name that references and logins have for a registry: a host in
// lower case and without the port 443, and "docker.io" for each name of Docker Hub.
func Canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// covers reports whether a login under this key is for the repository of the
// canonical host.
func (k key) covers(host, repository string) bool {
	if !k.isFor(host) {
		return false
	}
	below, found := strings.CutPrefix(repository, k.path)
	return k.path == "" || found && (below == "" || below[0] == '/')
}

// isFor compares the hosts. The port 80 is the default one of a key with
// http://.
func (k key) isFor(host string) bool {
	if host == "" || k.host == "" {
		return false
	}
	if k.scheme == "http" {
		return strings.TrimSuffix(k.host, ":80") == strings.TrimSuffix(host, ":80")
	}
	return k.host == host
}

// matching returns the keys that cover a repository of a host, as they are
// written: the longest path first, and of those that mean the same the
// plainest spelling first. Their order does not depend on the map.
func matching[V any](entries map[string]V, host, repository string) []string {
	var found []key
	for written := range entries {
		if k := parseKey(written); k.covers(Canonical(host), repository) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b key) int {
		return cmp.Or(
			cmp.Compare(len(b.path), len(a.path)),
			cmp.Compare(a.spelling(host), b.spelling(host)),
			cmp.Compare(a.written, b.written),
		)
	})
	var keys []string
	for _, k := range found {
		keys = append(keys, k.written)
	}
	return keys
}

// spelling ranks how plainly a key names the host: 0 is the plainest.
func (k key) spelling(asked string) int {
	host, _, _ := strings.Cut(k.written, "/")
	switch {
	case k.scheme == "" && host == asked:
		return 0
	case k.scheme == "" && host == Canonical(asked):
		return 1
	case k.scheme == "":
		return 2
	case k.scheme == "https":
		return 3
	}
	return 4
}
