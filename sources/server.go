package sources

import "slices"

// Server says which registries a server may serve whose clients name the registry. It
// never asks a host that only a client named. The zero Server is for Docker Hub.
type Server struct {
	Config Config
	// Mirrors are the sources that the user named; none: those of Config.
	Mirrors []string
}

// Names returns the names for New of the sources that serve a registry, or none if the
// registry may not be served:
//
//   - the mirrors that the user named and that serve it: a URL serves any registry;
//   - without such names, the mirrors of Config that serve it, and the registry itself if
//     it is Docker Hub, or if a mirror's registries or the name of a table has it. "*"
//     in registries stands for all registries at that mirror.
func (s Server) Names(registry string) (names []string) {
	n := naming{s.Config, canonical(registry)}
	if !isRegistry(n.registry) {
		return nil
	}
	if len(s.Mirrors) > 0 {
		for _, name := range s.Mirrors {
			if p, err := n.look(name); err != nil || p.serves(n.registry, true) {
				names = append(names, name)
			}
		}
		return names
	}
	names = n.defaults()
	if n.registry != dockerHub && !n.isNamed() {
		names = slices.DeleteFunc(names, n.isOrigin)
	}
	return names
}

// Named returns the registries that the user has named: as mirrors, or in the registries
// of one. Names says whether they are served.
func (s Server) Named() (registries []string) {
	n := naming{s.Config, dockerHub}
	for _, name := range slices.Concat(s.Mirrors, s.Config.Mirrors, s.Config.mirrorNames()) {
		p, err := n.look(name)
		if err != nil {
			continue
		}
		for _, r := range p.Registries {
			if r = canonical(r); isRegistry(r) && !slices.Contains(registries, r) {
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
		return err == nil && (n.isOrigin(name) || p.URLs[n.registry] != "" ||
			slices.ContainsFunc(p.Registries, func(r string) bool { return canonical(r) == n.registry }))
	})
}
