package sources

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/segpull/segpull/internal/credentials"
	"github.com/segpull/segpull/internal/hostconf"
)

// dockerHub is the registry of names without a host.
const dockerHub = "docker.io"

// endpoint is a mirror as a source of the images of one registry.
type endpoint struct {
	preset
	name   string
	url    *url.URL
	origin bool   // it is that registry itself
	plain  bool   // it may be asked by http, if its port does not speak TLS
	table  string // where its settings belong, for messages
	push   bool   // it is a registry to push to
	at     Place

	// These are of engines' configurations.
	engine      bool
	api         string // root of the API in the URL's path, where a part v2 does not show it
	strip       string // beginning of the repository's name that the URL's path replaces
	clients     [][2]string
	dialTimeout time.Duration
}

// naming finds the mirrors that names stand for, for the images of one registry.
type naming struct {
	cfg    Config
	images Images // whose registry is canonical
	// byClients says that the registry is one that a client of a server named.
	byClients bool
	own       []string // host:port where the server listens
}

// choose returns the endpoints that the names stand for, each address once and
// in their order, and why others cannot be used. Without names it takes the
// configured mirrors, those of engines, then the registry itself. The error says that an
// engine blocks the images.
func (n naming) choose(names []string) (found []endpoint, unusable []error, err error) {
	c := choice{naming: n, named: n.images.Registry == dockerHub || n.isNamed()}
	for _, name := range names {
		c.add(n.endpoint(name, true))
	}
	if len(names) > 0 {
		return c.found, c.unusable, nil
	}
	for _, from := range n.cfg.Engines.order() {
		if from != fromConfig {
			err = cmp.Or(err, c.addEngine(from))
			continue
		}
		for _, name := range n.configured() {
			c.add(n.endpoint(name, false))
		}
	}
	if c.named || !n.byClients {
		c.add(n.itself(c.settings))
	}
	trustOne(c.found)
	return c.found, c.unusable, err
}

// choice is the endpoints that were chosen so far.
type choice struct {
	naming   naming
	found    []endpoint
	unusable []error
	settings *hostconf.Host // of the registry itself, by the first engine that has any
	named    bool           // the user has named the registry
}

// add adds an endpoint, unless its address is there already, or is that of the server.
func (c *choice) add(e endpoint, err error) {
	same := func(f endpoint) bool { return *f.url == *e.url && f.strip == e.strip }
	switch {
	case err != nil:
		c.unusable = append(c.unusable, err)
	case !c.naming.isServer(e.url) && !slices.ContainsFunc(c.found, same):
		c.found = append(c.found, e)
	}
}

// addEngine adds the hosts of an engine's configuration.
func (c *choice) addEngine(from string) error {
	n := c.naming
	answer := n.cfg.Engines.lookup(from, n.images)
	c.unusable = append(c.unusable, answer.Problems...)
	c.named = c.named || answer.Named
	for _, h := range answer.Hosts {
		switch {
		case n.isOwn(h) && h.Last:
			c.settings = cmp.Or(c.settings, &h)
		case n.isOwn(h):
			c.add(n.itself(&h))
		case !h.TagsOnly || !n.images.ByDigest:
			c.add(n.engineEndpoint(from, h), nil)
		}
	}
	if answer.Blocked != nil {
		return fmt.Errorf("they are blocked in %s; to pull them all the same, name the sources with --mirror", answer.Blocked)
	}
	return nil
}

// trustOne trusts sources of engines that are not verified for tags, if no other source is
// trusted.
func trustOne(found []endpoint) {
	if slices.ContainsFunc(found, func(e endpoint) bool { return e.trusted() }) {
		return
	}
	yes := true
	for i, e := range found {
		if e.engine && e.Tags == nil {
			found[i].Tags = &yes
		}
	}
}

// configured returns the names in the configuration that serve the registry, and those
// that are unusable, for the user.
func (n naming) configured() (out []string) {
	names := n.cfg.Mirrors
	if len(names) == 0 {
		names = slices.DeleteFunc(n.cfg.mirrorNames(), n.isOrigin)
	}
	for _, name := range names {
		if p, err := n.look(name); err != nil || p.serves(n.images.Registry, false) {
			out = append(out, name)
		}
	}
	return out
}

func (n naming) isOrigin(name string) bool { return credentials.Canonical(name) == n.images.Registry }

// look finds what a name stands for: an address, a registry, or a preset or
// table of the configuration.
func (n naming) look(name string) (preset, error) {
	table, configured := n.cfg.Mirror[name]
	known, isPreset := presets()[name]
	switch {
	case strings.Contains(name, "://"):
		return preset{Mirror: Mirror{URL: name}}, nil
	case isRegistry(name):
		p := preset{Mirror: Mirror{URL: originURL(name), Registries: []string{name}}}
		return p.with(table), nil
	case configured || isPreset:
		return known.with(table), nil
	case strings.ContainsAny(name, "./:"):
		return preset{}, &MirrorError{shown(name), "neither a name nor a URL", "write http(s)://host[:port][/prefix]"}
	}
	return preset{}, &MirrorError{
		fmt.Sprintf("%q", name), "no such mirror",
		fmt.Sprintf("known are %s; add others as [mirror.NAME] in %s, or give a URL",
			strings.Join(presetNames(), ", "), n.file()),
	}
}

// endpoint returns the address of the named mirror for the registry.
func (n naming) endpoint(name string, named bool) (endpoint, error) {
	p, err := n.look(name)
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{preset: p, name: shown(name), origin: n.isOrigin(name), table: n.table(name), at: n.placeOf(name, named)}
	if p.Dead {
		return endpoint{}, &MirrorError{e.name, "it " + p.Note, "use another mirror"}
	}
	if !p.serves(n.images.Registry, named) {
		return endpoint{}, n.otherRegistry(name)
	}
	address, err := n.address(e)
	if err != nil {
		return endpoint{}, err
	}
	if e.url, err = parseURL(address); err != nil {
		return endpoint{}, &MirrorError{e.name, err.Error(), "write http(s)://host[:port][/prefix]"}
	}
	if strings.Contains(name, "://") {
		e.name = e.url.Host + e.url.Path
		e.table = n.tableFor(e.url)
	}
	e.plain = e.URL == originURL(name) && isInsecure(e.url.Host, n.cfg.InsecureRegistries)
	return e, nil
}

// otherRegistry says that a mirror has no images of this registry.
func (n naming) otherRegistry(name string) error {
	_, configured := n.cfg.Mirror[name]
	switch {
	case configured:
		return &MirrorError{
			name, "does not mirror " + n.images.Registry,
			fmt.Sprintf("add %q to registries under %s, or leave the mirror out", n.images.Registry, n.table(name)),
		}
	case isRegistry(name):
		return &MirrorError{
			name, "is a registry of its own, not " + n.images.Registry,
			fmt.Sprintf("as a mirror of %s write --mirror %s, or leave it out", n.images.Registry, originURL(name)),
		}
	}
	return &MirrorError{name, "does not mirror " + n.images.Registry, "use another mirror, or --mirror " + n.images.Registry}
}

// address fills in the URL of a mirror.
func (n naming) address(e endpoint) (string, error) {
	address := cmp.Or(e.URLs[n.images.Registry], e.URL)
	table := n.table(e.name)
	switch {
	case address == "":
		return "", &MirrorError{e.name, "has no url", `set url = "https://…" under ` + table}
	case !strings.Contains(address, "<id>") || isLabel(e.ID):
		return strings.NewReplacer("<id>", e.ID, "<registry>", n.images.Registry).Replace(address), nil
	case address == e.name:
		return "", &MirrorError{e.name, "needs your accelerator id", "write it in place of <id>"}
	}
	reason := "needs your accelerator id"
	if e.ID != "" {
		reason = fmt.Sprintf("id %q is not one: it is the first label of the address", e.ID)
	}
	fix := fmt.Sprintf(`set id = "…" under %s, or use --mirror %s`, table, address)
	return "", &MirrorError{e.name, reason, fix}
}

// table names the place of a mirror's settings.
func (n naming) table(name string) string {
	if strings.ContainsAny(name, ".:") { // not a bare key in TOML
		name = fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("[mirror.%s] in %s", name, n.file())
}

// tableFor describes the table that a mirror needs which a URL names.
func (n naming) tableFor(u *url.URL) string {
	return fmt.Sprintf("[mirror.NAME], with url = %q, in %s", u, n.file())
}

// placeOf returns where a name is configured.
func (n naming) placeOf(name string, named bool) Place {
	_, table := n.cfg.Mirror[name]
	at := Place{From: fromConfig, Key: "mirrors"}
	switch {
	case table:
		at.Key = "mirror." + name
	case named:
		return Place{From: fromFlag}
	case n.isOrigin(name):
		return Place{From: fromRegistry}
	}
	at.File = n.file()
	switch {
	case named:
		at.From = fromFlag
	case n.isOrigin(name):
		at.From = fromRegistry
	}
	return at
}

// file names the configuration file in messages.
func (n naming) file() string {
	return cmp.Or(n.cfg.path, ConfigPath(), "the configuration file")
}
