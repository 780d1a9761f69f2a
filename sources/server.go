package sources

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/segpull/segpull/internal/credentials"
)

// Server says which registries a server may serve whose clients name the registry. It
// never asks a host that only a client named. The zero Server is for Docker Hub.
type Server struct {
	Config Config
	// Mirrors are the sources that the user named; none: those of Config.
	Mirrors []string
	// Addresses are host:port where the server listens. A source there would ask the
	// server itself, so it is left out.
	Addresses []string
}

// Serves reports whether images of a registry may be served:
//
//   - by the mirrors that the user named and that serve it: a URL serves any registry;
//   - without such names, by the mirrors of Config and its Engines that serve it, and by the
//     registry itself if it is Docker Hub, or if a mirror's registries, the name of a table
//     or a file of an engine has it. "*" in registries, and _default and *.HOST in the files
//     of engines, stand for all registries at that mirror;
//   - and only if the registries of Config.Serve, if there are any, have it.
func (s Server) Serves(registry string) bool {
	n := s.naming(Images{Registry: registry})
	if !isRegistry(n.images.Registry) || !s.allows(n.images.Registry) {
		return false
	}
	names := s.names(n)
	if len(s.Mirrors) > 0 && len(names) == 0 {
		return false
	}
	found, unusable, err := n.choose(names)
	return err == nil && len(found)+len(unusable) > 0
}

// allows reports whether the configuration lets a server serve a registry.
func (s Server) allows(registry string) bool {
	only := s.Config.Serve.Registries
	return len(only) == 0 || slices.ContainsFunc(only, func(r string) bool { return credentials.Canonical(r) == registry })
}

// New returns the sources for images, as the function New does, but without asking a
// host that only a client named, or the server itself.
func (s Server) New(logins *Logins, images Images) (*Set, []error, error) {
	n := s.naming(images)
	names := s.names(n)
	if len(s.Mirrors) > 0 && len(names) == 0 {
		return nil, nil, &UsageError{images.Registry, []error{errors.New("no mirror that was named serves it")}}
	}
	return n.set(logins, names)
}

func (s Server) naming(images Images) naming {
	images.Registry, images.ByDigest = credentials.Canonical(images.Registry), false // the set is for tags as well
	return naming{cfg: s.Config, images: images, byClients: true, own: s.Addresses}
}

// names returns the names that the user gave of sources that serve the registry.
func (s Server) names(n naming) (names []string) {
	for _, name := range s.Mirrors {
		if p, err := n.look(name); err != nil || p.serves(n.images.Registry, true) {
			names = append(names, name)
		}
	}
	return names
}

// Named returns the registries that the user has named: as mirrors, or in the registries
// of one. Serves says whether they are served.
func (s Server) Named() (registries []string) {
	n := naming{cfg: s.Config, images: Images{Registry: dockerHub}}
	for _, name := range slices.Concat(s.Mirrors, s.Config.Mirrors, s.Config.mirrorNames()) {
		p, err := n.look(name)
		if err != nil {
			continue
		}
		for _, r := range p.Registries {
			if r = credentials.Canonical(r); isRegistry(r) && !slices.Contains(registries, r) {
				registries = append(registries, r)
			}
		}
	}
	return registries
}

// Private reports whether a server would use credentials.
func (s Server) Private() bool {
	for _, m := range s.Config.Mirror {
		if m.Private {
			return true
		}
	}
	return false
}

// isNamed reports whether the configuration has the registry itself: in the registries of
// a mirror that it uses, or as the name of one.
func (n naming) isNamed() bool {
	names := slices.Concat(n.cfg.Mirrors, n.cfg.mirrorNames())
	return slices.ContainsFunc(names, func(name string) bool {
		p, err := n.look(name)
		return err == nil && (n.isOrigin(name) || p.URLs[n.images.Registry] != "" ||
			slices.ContainsFunc(p.Registries, func(r string) bool { return credentials.Canonical(r) == n.images.Registry }))
	})
}

// isServer reports whether a URL leads to an address where the server listens.
func (n naming) isServer(u *url.URL) bool {
	return slices.ContainsFunc(n.own, func(address string) bool {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port != cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]) {
			return false
		}
		ip, _ := netip.ParseAddr(host)
		every := host == "" || ip.IsValid() && ip.IsUnspecified()
		return isLoopback(u.Hostname()) && (every || isLoopback(host)) || u.Hostname() == host
	})
}
