package hostconf

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Containers is how podman, skopeo, buildah and CRI-O reach registries
// (image/pkg/sysregistriesv2 of container-libs). The zero value has no mirrors.
type Containers struct {
	tables   []registryTable
	aliases  map[string]Alias
	problems []error
}

// Alias is a short name with a meaning of its own.
type Alias struct {
	Name string // such as registry.fedoraproject.org/fedora
	Place
}

// registryTable is a [[registry]] table.
type registryTable struct {
	Prefix       string        `toml:"prefix"`
	Location     string        `toml:"location"`
	Insecure     bool          `toml:"insecure"`
	Blocked      bool          `toml:"blocked"`
	ByDigestOnly bool          `toml:"mirror-by-digest-only"`
	PullFrom     string        `toml:"pull-from-mirror"`
	Mirrors      []mirrorTable `toml:"mirror"`

	Place `toml:"-"`
}

// mirrorTable is a [[registry.mirror]] table.
type mirrorTable struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	PullFrom string `toml:"pull-from-mirror"`

	Place `toml:"-"`
}

// registriesFile is a file of either version.
type registriesFile struct {
	Registries []registryTable   `toml:"registry"`
	Aliases    map[string]string `toml:"aliases"`
	V1         struct {
		Search, Insecure, Block struct {
			Registries []string `toml:"registries"`
		}
	} `toml:"registries"`
}

// NewContainers reads a file and the drop-ins in FILE.d. file "" is the user's file or,
// without one, the system's with the drop-ins of both.
func NewContainers(m Machine, file string) Containers {
	c := Containers{aliases: make(map[string]Alias)}
	given := file != ""
	file, drops := m.registriesFiles(file)
	c.add(file, false)
	for _, dir := range drops {
		entries, _ := os.ReadDir(dir) // in the order of the names
		for _, entry := range entries {
			if !entry.IsDir() && filepath.Ext(entry.Name()) == ".conf" {
				c.add(filepath.Join(dir, entry.Name()), true)
			}
		}
	}
	if !given { // what users answered when podman asked what a short name means
		const name = "containers/short-name-aliases.conf"
		for _, file := range append([]string{m.system("var/cache/" + name)}, below(m.Cache, name)...) {
			c.add(file, true)
		}
	}
	return c
}

// registriesFiles returns the file and the directories of drop-ins to read.
func (m Machine) registriesFiles(given string) (file string, drops []string) {
	const name = "containers/registries.conf"
	system, user := m.system("etc/"+name), firstOf(below(m.Config, name))
	set := cmp.Or(os.Getenv("CONTAINERS_REGISTRIES_CONF"), os.Getenv("REGISTRIES_CONFIG_PATH"))
	switch users := below(m.Config, name+".d"); {
	case given != "":
		return given, []string{given + ".d"}
	case user != "" && set == "":
		return user, users
	default:
		return cmp.Or(set, system), append([]string{system + ".d"}, users...)
	}
}

// add reads one file. Its tables replace those with the same prefix.
func (c *Containers) add(file string, dropIn bool) {
	data, err := read(file)
	var tables []registryTable
	var aliases map[string]Alias
	if err == nil {
		tables, aliases, err = parseRegistries(data, file, dropIn)
	}
	if err != nil {
		if !absent(err) {
			c.problems = append(c.problems, &FileError{Place{File: file}, err})
		}
		return
	}
	for _, t := range tables {
		if i := slices.IndexFunc(c.tables, func(old registryTable) bool { return old.Prefix == t.Prefix }); i >= 0 {
			c.tables[i] = t
			continue
		}
		c.tables = append(c.tables, t)
	}
	for name, alias := range aliases {
		c.aliases[name] = alias
	}
}

// parseRegistries reads a file. A drop-in has no tables of version 1.
func parseRegistries(data []byte, file string, dropIn bool) ([]registryTable, map[string]Alias, error) {
	var f registriesFile
	if err := unmarshal(data, &f); err != nil {
		return nil, nil, err
	}
	f.locate(headers(data), file)
	old := f.tablesOfV1(file)
	if len(old) > 0 && (dropIn || len(f.Registries) > 0) {
		return nil, nil, errors.New("it has tables of version 1, such as [registries.insecure], which only a file without [[registry]] may have")
	}
	for i := range f.Registries {
		if err := f.Registries[i].check(); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", f.Registries[i].Line, err)
		}
	}
	aliases := make(map[string]Alias)
	for name, value := range f.Aliases {
		if value != "" { // which removes an alias of another file
			aliases[name] = Alias{value, Place{File: file, Key: "aliases." + name}}
		} else {
			aliases[name] = Alias{}
		}
	}
	return append(f.Registries, old...), aliases, nil
}

// locate adds the line of each table.
func (f *registriesFile) locate(found []header, file string) {
	registry, mirror := -1, -1
	for _, h := range found {
		switch {
		case h.is("registry"):
			if registry++; registry < len(f.Registries) {
				f.Registries[registry].Place = Place{File: file, Line: h.line}
			}
			mirror = -1
		case h.is("registry", "mirror") && registry >= 0 && registry < len(f.Registries):
			if mirror++; mirror < len(f.Registries[registry].Mirrors) {
				f.Registries[registry].Mirrors[mirror].Place = Place{File: file, Line: h.line}
			}
		}
	}
}

// tablesOfV1 returns what the tables of version 1 say.
func (f *registriesFile) tablesOfV1(file string) (tables []registryTable) {
	add := func(key string, names []string, change func(*registryTable)) {
		for _, name := range names {
			i := slices.IndexFunc(tables, func(t registryTable) bool { return t.Prefix == name })
			if i < 0 {
				i = len(tables)
				tables = append(tables, registryTable{Prefix: name, Location: name, Place: Place{File: file, Key: key}})
			}
			change(&tables[i])
		}
	}
	add("registries.insecure", f.V1.Insecure.Registries, func(t *registryTable) { t.Insecure = true })
	add("registries.block", f.V1.Block.Registries, func(t *registryTable) { t.Blocked = true })
	return tables
}

// check completes a table, and says what is wrong with it.
func (t *registryTable) check() (err error) {
	if t.Location, err = location(t.Location); err != nil {
		return err
	}
	if t.Prefix, err = location(cmp.Or(t.Prefix, t.Location)); err != nil {
		return err
	}
	switch {
	case t.Prefix == "":
		return errors.New("a registry has neither prefix nor location")
	case t.Location == "" && !strings.HasPrefix(t.Prefix, "*."):
		return fmt.Errorf("registry %s has no location", t.Prefix)
	case t.PullFrom != "":
		return fmt.Errorf("registry %s has pull-from-mirror, which is for its mirrors", t.Prefix)
	}
	for i := range t.Mirrors {
		m := &t.Mirrors[i]
		if m.Location, err = location(m.Location); err != nil {
			return err
		}
		switch {
		case m.Location == "":
			return fmt.Errorf("a mirror of %s has no location", t.Prefix)
		case !slices.Contains([]string{"", "all", "digest-only", "tag-only"}, m.PullFrom):
			return fmt.Errorf("pull-from-mirror %q of %s is none of all, digest-only and tag-only", m.PullFrom, m.Location)
		case m.PullFrom != "" && t.ByDigestOnly:
			return fmt.Errorf("registry %s has mirror-by-digest-only, and its mirror %s pull-from-mirror: they exclude each other", t.Prefix, m.Location)
		}
	}
	return nil
}

// location checks host[:port][/path], which may begin with *. in a prefix.
func location(s string) (string, error) {
	s = strings.TrimRight(s, "/")
	if s == "" {
		return "", nil
	}
	host, rest, _ := strings.Cut(s, "/")
	u, err := url.Parse("https://" + strings.TrimPrefix(host, "*."))
	if strings.Contains(s, "://") || err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not host[:port][/path]", shown(s))
	}
	for _, part := range strings.Split(rest, "/") {
		if rest != "" && (part == "" || strings.Trim(part, ".") == "" || strings.ContainsAny(part, "?#%\\")) {
			return "", fmt.Errorf("%q is not host[:port][/path]", s)
		}
	}
	return s, nil
}

// Scope returns the prefix of the table that is for a repository, or "".
func (c Containers) Scope(registry, repository string) string {
	if t, _ := c.find(registry + "/" + repository); t != nil {
		return t.Prefix
	}
	return ""
}

// find returns the table with the longest prefix of a name, and how much of the name
// that is.
func (c Containers) find(name string) (found *registryTable, length int) {
	for i := range c.tables {
		if n := match(name, c.tables[i].Prefix); n > length {
			found, length = &c.tables[i], n
		}
	}
	return found, length
}

// match returns how much of a name a prefix is, up to the border of a component; 0: it is
// none. *.HOST is any host below HOST.
func match(name, prefix string) int {
	if domain, ok := strings.CutPrefix(prefix, "*"); ok {
		host, _, _ := strings.Cut(name, "/")
		if len(host) > len(domain) && strings.HasSuffix(host, domain) {
			return len(host)
		}
		return 0
	}
	rest, ok := strings.CutPrefix(name, prefix)
	if ok && (rest == "" || rest[0] == '/') {
		return len(prefix)
	}
	return 0
}

// Lookup returns the mirrors of a repository, and the settings of its own location last.
func (c Containers) Lookup(registry, repository string) Answer {
	a := Answer{Problems: c.problems, Named: c.names(registry)}
	name := registry + "/" + repository
	t, length := c.find(name)
	if t == nil {
		return a
	}
	if t.Blocked {
		a.Blocked = &t.Place
		return a
	}
	// What of the repository's name the location replaces.
	strip := strings.TrimPrefix(name[len(registry):length], "/")
	for _, m := range t.Mirrors {
		h := at(m.Location, strip, m.Insecure, m.Place)
		switch {
		case m.PullFrom == "digest-only" || t.ByDigestOnly:
			h.Tags = Denied
		case m.PullFrom != "":
			h.Tags = Granted
		}
		h.TagsOnly = m.PullFrom == "tag-only"
		a.Hosts = append(a.Hosts, h)
	}
	if t.Location != "" && t.Location != name[:length] {
		h := at(t.Location, strip, t.Insecure, t.Place)
		h.Last = true
		a.Hosts = append(a.Hosts, h)
	} else if t.Insecure {
		a.Hosts = append(a.Hosts, Host{Last: true, Unverified: true, Plain: true, Place: t.Place})
	}
	return a
}

// names reports whether a table is for the registry or some of its repositories, and not
// for any host of a domain.
func (c Containers) names(registry string) bool {
	return slices.ContainsFunc(c.tables, func(t registryTable) bool {
		host, _, _ := strings.Cut(t.Prefix, "/")
		return host == registry
	})
}

// at returns a host at a location: host[:port][/path], asked as HOST/v2/path/….
func at(location, strip string, insecure bool, place Place) Host {
	host, path, _ := strings.Cut(location, "/")
	u := &url.URL{Scheme: "https", Host: strings.ToLower(host), Path: strings.TrimSuffix("/v2/"+path, "/")}
	return Host{URL: u, API: "/v2", Strip: strip, Unverified: insecure, Plain: insecure, Place: place}
}

// Alias returns what podman takes a short name for, such as fedora, if a file says so.
// The name has no tag.
func (c Containers) Alias(name string) (Alias, bool) {
	a := c.aliases[name]
	return a, a.Name != ""
}
