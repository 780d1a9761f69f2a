package sources

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/credentials"
	"github.com/segpull/segpull/internal/hostconf"
)

// Where the address of a source comes from, see [Place].
const (
	fromFlag       = "flag"
	fromConfig     = "config"
	fromContainerd = "containerd"
	fromDocker     = "docker"
	fromContainers = "containers"
	fromRegistry   = "registry"
	fromNone       = "none" // only in --mirrors-from
)

// allFrom is where mirrors come from unless the user says it.
var allFrom = []string{fromConfig, fromContainerd, fromDocker, fromContainers}

// Place is where a source is configured.
type Place struct {
	// From is "flag" for a source that the caller named; "config" for one of segpull's
	// configuration; "containerd", "docker" or "containers" for one of an engine; or
	// "registry" for the images' registry itself.
	From string
	// File has the setting; "" if none does, or if an engine reported it.
	File string
	// Line is that of the setting in File; 0: unknown.
	Line int
	// Key names the setting where Line does not, such as registry-mirrors.
	Key string
}

// Engines has the mirrors that container engines of this machine are configured with. It
// is safe for concurrent use. nil stands for no engine.
type Engines struct {
	from       []string // in this order
	containerd hostconf.Containerd
	docker     hostconf.Docker
	containers hostconf.Containers

	mu   sync.Mutex
	told map[string]bool // problems that were reported
}

// FindEngines reads the configurations that from names, in this order: "config" (the
// mirrors of a Config), "containerd[:DIR]", "docker[:FILE]", "containers[:FILE]", or "none"
// alone. Empty: all, in this order. DIR may be several, as in config_path of containerd.
//
// "docker" asks a running engine by docker info, for at most 3 s, and reads daemon.json if
// none answers. The other files are those of the system, below root, and of the user. root
// "" is that of the machine; with another, docker is not asked. An error says which of from
// is invalid. [New] reports files that are ignored.
func FindEngines(ctx context.Context, from []string, root string) (*Engines, error) {
	wanted, err := parseFrom(from)
	if err != nil {
		return nil, err
	}
	machine := hostconf.ThisMachine(root)
	e := &Engines{told: make(map[string]bool)}
	for _, w := range wanted {
		switch w.kind {
		case fromContainerd:
			e.containerd = hostconf.NewContainerd(machine, w.path)
		case fromDocker:
			e.docker = findDocker(ctx, machine, w.path, root)
		case fromContainers:
			e.containers = hostconf.NewContainers(machine, w.path)
		}
		e.from = append(e.from, w.kind)
	}
	return e, nil
}

func findDocker(ctx context.Context, machine hostconf.Machine, file, root string) hostconf.Docker {
	if file == "" && root == "" {
		if d, answered := hostconf.DockerInfo(ctx); answered {
			return d
		}
	}
	return hostconf.NewDocker(machine, file)
}

// mirrorsFrom is one value of --mirrors-from.
type mirrorsFrom struct{ kind, path string }

// parseFrom reads the values of --mirrors-from.
func parseFrom(values []string) (all []mirrorsFrom, err error) {
	if len(values) == 0 {
		values = allFrom
	}
	for _, value := range values {
		kind, path, given := strings.Cut(value, ":")
		w := mirrorsFrom{kind, path}
		switch {
		case kind == fromNone && !given && len(values) == 1:
			return nil, nil
		case kind == fromNone && !given:
			return nil, errors.New("mirrors-from none excludes all others: give it alone")
		case !slices.Contains(allFrom, kind), kind == fromConfig && given, given && path == "":
			return nil, fmt.Errorf("mirrors-from %q is unknown; use containerd[:DIR], docker[:FILE], containers[:FILE], config or none", value)
		case slices.ContainsFunc(all, func(other mirrorsFrom) bool { return other.kind == kind }):
			return nil, fmt.Errorf("mirrors-from names %s twice: give it once", kind)
		}
		for _, p := range w.paths() {
			if _, err := os.Stat(p); err != nil {
				return nil, fmt.Errorf("mirrors-from %s: %w; correct the path", value, err)
			}
		}
		w.path = strings.Join(w.paths(), string(filepath.ListSeparator))
		all = append(all, w)
	}
	return all, nil
}

// paths returns the directories or the file of a value.
func (w mirrorsFrom) paths() (paths []string) {
	list := []string{w.path}
	if w.kind == fromContainerd {
		list = filepath.SplitList(w.path)
	}
	for _, p := range list {
		if p != "" {
			paths = append(paths, atHome(p))
		}
	}
	return paths
}

// absoluteFrom resolves the paths in values of mirrors-from relative to dir.
func absoluteFrom(values []string, dir string) (out []string) {
	for _, value := range values {
		kind, path, given := strings.Cut(value, ":")
		paths := absolute(mirrorsFrom{kind, path}.paths(), dir)
		if given && len(paths) > 0 {
			value = kind + ":" + strings.Join(paths, string(filepath.ListSeparator))
		}
		out = append(out, value)
	}
	return out
}

// order returns where mirrors come from.
func (e *Engines) order() []string {
	if e == nil {
		return []string{fromConfig}
	}
	return e.from
}

// lookup returns what one of the engines does for the images of a reference.
func (e *Engines) lookup(from string, images Images) hostconf.Answer {
	switch from {
	case fromContainerd:
		return e.containerd.Lookup(images.Registry)
	case fromDocker:
		return e.docker.Lookup(images.Registry)
	default:
		return e.containers.Lookup(images.Registry, images.Repository)
	}
}

// untold returns the problems that were not reported before.
func (e *Engines) untold(problems []error) (untold []error) {
	if e == nil {
		return problems
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range problems {
		if !e.told[p.Error()] {
			e.told[p.Error()] = true
			untold = append(untold, p)
		}
	}
	return untold
}

// Scope returns a key that images have in common for which New returns the same sources:
// the registry, and more where files have settings for some of its repositories.
func (c Config) Scope(images Images) string {
	images.Registry = credentials.Canonical(images.Registry)
	if c.Engines == nil || !slices.Contains(c.Engines.from, fromContainers) {
		return images.Registry
	}
	scope := images.Registry + "|" + c.Engines.containers.Scope(images.Registry, images.Repository)
	tagsOnly := func(h hostconf.Host) bool { return h.TagsOnly }
	if images.ByDigest && slices.ContainsFunc(c.Engines.lookup(fromContainers, images).Hosts, tagsOnly) {
		scope += "@"
	}
	return scope
}

// Alias returns what podman takes a name without a registry for, and where that is
// configured, if it is another image than segpull takes it for: Docker Hub's.
func (e *Engines) Alias(name string) (image.Reference, string, bool) {
	if e == nil || !slices.Contains(e.from, fromContainers) {
		return image.Reference{}, "", false
	}
	short, _, _ := strings.Cut(name, "@")
	if i := strings.LastIndex(short, ":"); i > strings.LastIndex(short, "/") {
		short = short[:i]
	}
	alias, ok := e.containers.Alias(short)
	if !ok {
		return image.Reference{}, "", false
	}
	ours, err := image.ParseReference(short)
	theirs, err2 := image.ParseReference(alias.Name + strings.TrimPrefix(name, short))
	if err != nil || err2 != nil || ours.Name() == theirs.Name() {
		return image.Reference{}, "", false
	}
	return theirs, alias.Place.String(), true
}

// isOwn reports whether a host is the registry itself.
func (n naming) isOwn(h hostconf.Host) bool {
	return h.URL == nil || credentials.Canonical(h.URL.Host) == n.images.Registry && h.URL.Path == "/v2" && h.Strip == ""
}

// engineEndpoint returns a host of an engine's configuration, which is not the registry
// itself.
func (n naming) engineEndpoint(from string, h hostconf.Host) endpoint {
	u := *h.URL
	e := endpoint{strip: h.Strip, at: Place{From: from}}
	if rest, ok := strings.CutPrefix(u.Path, "/v2"); ok && h.API == "/v2" && hostconf.RootOf(rest) == rest {
		u.Path = rest // as --mirror writes it
	} else if root := hostconf.RootOf(u.Path); root != h.API || !strings.HasSuffix(root, "/v2") {
		e.api = h.API
	}
	e.url, e.name = &u, u.Host+strings.TrimSuffix(u.Path, "/")
	if h.Namespace && credentials.Canonical(u.Host) != n.images.Registry {
		e.NS = &h.Namespace
	}
	e.table = n.tableFor(&u)
	e.adopt(h)
	return e
}

// adopt takes the settings of a host.
func (e *endpoint) adopt(h hostconf.Host) {
	e.at.File, e.at.Line, e.at.Key = h.File, h.Line, h.Key
	e.engine, e.plain = true, e.plain || h.Plain
	e.clients, e.dialTimeout = h.Clients, h.DialTimeout
	if e.CA = h.CA; h.Unverified {
		no := false
		e.TLSVerify, e.CA = &no, nil // of no use then
	}
	for name, values := range h.Header {
		if e.Headers == nil {
			e.Headers = make(map[string]string)
		}
		e.Headers[name] = strings.Join(values, ", ") // the same by RFC 9110, section 5.3
	}
	if h.Tags != hostconf.Unsaid {
		granted := h.Tags == hostconf.Granted
		e.Tags = &granted
	}
}

// itself returns the registry itself with the settings that an engine has for it, unless the
// configuration has settings of its own.
func (n naming) itself(h *hostconf.Host) (endpoint, error) {
	e, err := n.endpoint(n.images.Registry, false)
	if err != nil || h == nil || n.hasTable() {
		return e, err
	}
	if h.URL != nil {
		e.url = &url.URL{Scheme: h.URL.Scheme, Host: e.url.Host}
	}
	e.adopt(*h)
	return e, nil
}

// hasTable reports whether the configuration has a table for the registry itself.
func (n naming) hasTable() bool {
	for name := range n.cfg.Mirror {
		if n.isOrigin(name) {
			return true
		}
	}
	return false
}

// place returns where a setting is that a message is about: " in FILE:LINE", or "" for the
// mirror's table, which the message names.
func (e endpoint) place() string {
	if !e.engine {
		return ""
	}
	return " in " + hostconf.Place{File: e.at.File, Line: e.at.Line, Key: e.at.Key}.String()
}
