package sources

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pelletier/go-toml/v2"

	"github.com/segpull/segpull/internal/credentials"
)

//go:embed presets.toml
var presetsTOML []byte

// preset is a public mirror with a name that users can give.
type preset struct {
	Mirror
	URLs map[string]string `toml:"urls"` // registry: url, where they differ
	Dead bool              `toml:"dead"`
	Note string            `toml:"note"` // who is served, or what became of it
}

// presetFile is presets.toml.
type presetFile struct {
	Checked string            `toml:"checked"` // YYYY-MM
	Mirror  map[string]preset `toml:"mirror"`
}

// presets returns the embedded data; its notes carry the date of the check.
var presets = sync.OnceValue(func() map[string]preset {
	var file presetFile
	d := toml.NewDecoder(bytes.NewReader(presetsTOML)).DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		panic("presets.toml: " + err.Error()) // embedded, and read by a test
	}
	for name, p := range file.Mirror {
		p.Note = fmt.Sprintf("%s, as of %s", p.Note, file.Checked)
		file.Mirror[name] = p
	}
	return file.Mirror
})

// presetNames lists the presets that are alive, sorted.
func presetNames() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(presets())) {
		if !presets()[name].Dead {
			names = append(names, name)
		}
	}
	return names
}

// with returns p as the user's table changes it.
func (p preset) with(m Mirror) preset {
	if m.URL != "" { // another place altogether
		p.URLs, p.Dead, p.Note = nil, false, ""
	}
	if m.Registries != nil {
		p.Registries = m.Registries
	}
	if m.CA != nil {
		p.CA = m.CA
	}
	if m.Headers != nil {
		p.Headers = m.Headers
	}
	p.URL = cmp.Or(m.URL, p.URL)
	p.ID = cmp.Or(m.ID, p.ID)
	p.LimitRate = cmp.Or(m.LimitRate, p.LimitRate)
	p.Connections = cmp.Or(m.Connections, p.Connections)
	p.Proxy = cmp.Or(m.Proxy, p.Proxy)
	p.NS = cmp.Or(m.NS, p.NS)
	p.Tags = cmp.Or(m.Tags, p.Tags)
	p.TLSVerify = cmp.Or(m.TLSVerify, p.TLSVerify)
	p.ClientCert = cmp.Or(m.ClientCert, p.ClientCert)
	p.ClientKey = cmp.Or(m.ClientKey, p.ClientKey)
	p.Private = m.Private || p.Private
	p.AllowInsecureStorage = m.AllowInsecureStorage || p.AllowInsecureStorage
	p.AllowPrivateStorage = m.AllowPrivateStorage || p.AllowPrivateStorage
	return p
}

// serves reports whether the mirror has images of the registry. One that does
// not say which it mirrors counts as a mirror of Docker Hub, like Docker's
// registry-mirrors, unless this pull names it: repositories of the same
// name are other images elsewhere.
func (p preset) serves(registry string, named bool) bool {
	if p.URLs != nil && p.URLs[registry] == "" {
		return false
	}
	if len(p.Registries) == 0 {
		return named || p.URLs != nil || registry == dockerHub
	}
	return slices.ContainsFunc(p.Registries, func(r string) bool {
		return r == "*" || credentials.Canonical(r) == registry
	})
}

// trusted reports whether the mirror is trusted for tags.
func (p preset) trusted() bool {
	if p.Tags == nil {
		return p.verified()
	}
	return *p.Tags
}

// verified reports whether the certificate of the mirror's host is checked.
func (p preset) verified() bool { return p.TLSVerify == nil || *p.TLSVerify }
