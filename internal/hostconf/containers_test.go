package hostconf

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const someRegistries = `
unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "a.example"
[[registry.mirror]]
location = "B.example:5000/hub/"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "c.example"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "docker.io/library"
location = "official.example/x"
mirror-by-digest-only = true
[[registry.mirror]]
location = "d.example/v2/y"

[[registry]]
location = "registry.lan:5000"
insecure = true

[[registry]]
prefix = "*.corp.example"
[[registry.mirror]]
location = "mirror.corp.example/all"

[[registry]]
location = "evil.example"
blocked = true

[[registry]]
location = "quay.io/evil"
blocked = true
`

func TestRegistriesConf(t *testing.T) {
	file := write(t, t.TempDir(), "registries.conf", someRegistries)
	c := NewContainers(Machine{}, file)
	for _, test := range []struct {
		name    string // registry, a space, repository
		want    []string
		blocked int // line
		named   bool
	}{
		{"docker.io team/app", []string{"https://a.example/v2 :7", "https://b.example:5000/v2/hub no-tags unverified plain :9", "https://c.example/v2 tags tags-only :13"}, 0, true},
		{"docker.io libraryx/app", []string{"https://a.example/v2 :7", "https://b.example:5000/v2/hub no-tags unverified plain :9", "https://c.example/v2 tags tags-only :13"}, 0, true},
		{"docker.io library/app", []string{"https://d.example/v2/v2/y no-tags strip=library :21", "https://official.example/v2/x last strip=library :17"}, 0, true},
		{"registry.lan:5000 a", []string{"itself last unverified plain :24"}, 0, true},
		{"registry.lan a", nil, 0, false},
		{"x.y.corp.example a", []string{"https://mirror.corp.example/v2/all :30"}, 0, false},
		{"corp.example a", nil, 0, false},
		{"xcorp.example a", nil, 0, false},
		{"evil.example a/b", nil, 33, true},
		{"quay.io evil/a", nil, 37, true},
		{"quay.io good", nil, 0, true},
		{"ghcr.io a", nil, 0, false},
	} {
		registry, repository, _ := strings.Cut(test.name, " ")
		a := c.Lookup(registry, repository)
		if got := describeAll(a.Hosts, ""); !slices.Equal(got, test.want) || a.Named != test.named {
			t.Errorf("%s: got %q, named %t, want %q", test.name, got, a.Named, test.want)
		}
		if blocked := a.Blocked != nil; blocked != (test.blocked > 0) || blocked && (a.Blocked.Line != test.blocked || a.Blocked.File != file) {
			t.Errorf("%s: blocked %v, want line %d", test.name, a.Blocked, test.blocked)
		}
		for _, p := range a.Problems {
			t.Error(p)
		}
	}
	if scope := c.Scope("docker.io", "library/app"); scope != "docker.io/library" {
		t.Errorf("scope %q", scope)
	}
}

// A table for one repository replaces all of its name.
func TestATableForOneRepository(t *testing.T) {
	file := write(t, t.TempDir(), "registries.conf", "[[registry]]\nprefix = 'docker.io/library/app'\nlocation = 'a.example/copy'\n")
	got := describeAll(NewContainers(Machine{}, file).Lookup("docker.io", "library/app").Hosts, "")
	if want := []string{"https://a.example/v2/copy last strip=library/app :1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVersion1(t *testing.T) {
	file := write(t, t.TempDir(), "registries.conf", "[registries.search]\nregistries = ['docker.io']\n[registries.insecure]\nregistries = ['a.example']\n[registries.block]\nregistries = ['b.example']\n")
	c := NewContainers(Machine{}, file)
	a := c.Lookup("a.example", "x")
	if got := describeAll(a.Hosts, ""); !slices.Equal(got, []string{"itself last unverified plain"}) || a.Hosts[0].Place.String() != file+" (registries.insecure)" {
		t.Errorf("insecure: %q, %v", got, a)
	}
	if b := c.Lookup("b.example", "x"); b.Blocked == nil || b.Blocked.Key != "registries.block" {
		t.Errorf("blocked: %v", b.Blocked)
	}
}

func TestWrongRegistriesConf(t *testing.T) {
	for text, want := range map[string]string{
		"[[registry]]\n":                       "line 1: a registry has neither prefix nor location",
		"\n[[registry]]\nprefix = 'a.example'": "line 2: registry a.example has no location",
		"[[registry]]\nlocation = 'a.example'\npull-from-mirror = 'all'":                                                                            "for its mirrors",
		"[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]":                                                                                 "a mirror of a.example has no location",
		"[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'b.example'\npull-from-mirror = 'tags'":                              `pull-from-mirror "tags" of b.example`,
		"[[registry]]\nlocation = 'a.example'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'b.example'\npull-from-mirror = 'all'": "exclude each other",
		"[[registry]]\nlocation = 'https://a.example'":                                                                                              `"https://a.example" is not host[:port][/path]`,
		"[[registry]]\nlocation = 'u:secret@a.example'":                                                                                             `"a.example" is not host[:port][/path]`,
		"[[registry]]\nlocation = 'a.example/../b'":                                                                                                 "is not host[:port][/path]",
		"[[registry]]\nlocation = 'a.example'\ninsecure = 1":                                                                                        "line 3: registry.insecure has the wrong type",
		"[[registry]]\nlocation = 'a.example'\n[registries.block]\nregistries = ['b.example']":                                                      "version 1",
		"[[registry": "line 1: ",
	} {
		c := NewContainers(Machine{}, write(t, t.TempDir(), "registries.conf", text))
		a := c.Lookup("a.example", "x")
		if len(a.Problems) != 1 || !strings.Contains(a.Problems[0].Error(), want) || strings.Contains(a.Problems[0].Error(), "secret") || len(a.Hosts) > 0 {
			t.Errorf("%s\nsaid %v, want %s", text, a.Problems, want)
		}
	}
}

// The user's file replaces the system's, and drop-ins replace tables of the same prefix.
func TestPlacesOfRegistriesConf(t *testing.T) {
	t.Setenv("CONTAINERS_REGISTRIES_CONF", "")
	t.Setenv("REGISTRIES_CONFIG_PATH", "")
	dir := t.TempDir()
	m := Machine{Root: dir, Config: filepath.Join(dir, "config"), Cache: filepath.Join(dir, "cache")}
	table := func(name, registry, mirror string) string {
		return write(t, dir, name, "[[registry]]\nlocation = '"+registry+"'\n[[registry.mirror]]\nlocation = '"+mirror+"'\n")
	}
	check := func(about, registry, want string) {
		t.Helper()
		got := ""
		for _, h := range NewContainers(m, "").Lookup(registry, "x").Hosts {
			got += h.URL.Host
		}
		if got != want {
			t.Errorf("%s: %s has %q, want %q", about, registry, got, want)
		}
	}
	table("etc/containers/registries.conf", "a.example", "system")
	check("the system's file", "a.example", "system")
	table("etc/containers/registries.conf.d/1.conf", "b.example", "drop-in")
	table("etc/containers/registries.conf.d/2.conf", "a.example", "drop-in")
	table("etc/containers/registries.conf.d/3.txt", "a.example", "another")
	check("a drop-in replaces a table", "a.example", "drop-in")
	check("a drop-in adds one", "b.example", "drop-in")
	table("config/containers/registries.conf.d/0.conf", "a.example", "user-drop-in")
	check("the user's drop-ins come after the system's", "a.example", "user-drop-in")
	table("config/containers/registries.conf", "c.example", "user")
	check("the user's file", "c.example", "user")
	check("comes with the user's drop-ins", "a.example", "user-drop-in")
	check("and replaces the system's", "b.example", "")
	t.Setenv("CONTAINERS_REGISTRIES_CONF", table("other.conf", "d.example", "variable"))
	check("a file that the environment names", "d.example", "variable")
	check("comes with all drop-ins", "b.example", "drop-in")
	write(t, dir, "etc/containers/registries.conf.d/4.conf", "[registries.block]\nregistries = ['b.example']\n")
	if a := NewContainers(m, "").Lookup("b.example", "x"); len(a.Problems) != 1 {
		t.Errorf("a drop-in of version 1: %v", a.Problems)
	}
}

func TestAliases(t *testing.T) {
	t.Setenv("CONTAINERS_REGISTRIES_CONF", "")
	t.Setenv("REGISTRIES_CONFIG_PATH", "")
	dir := t.TempDir()
	m := Machine{Root: dir, Config: filepath.Join(dir, "config"), Cache: filepath.Join(dir, "cache")}
	first := write(t, dir, "etc/containers/registries.conf.d/000-shortnames.conf", "[aliases]\n'fedora' = 'registry.fedoraproject.org/fedora'\n'ubi8/ubi' = 'a.example/ubi'\n'gone' = 'a.example/gone'\n")
	write(t, dir, "etc/containers/registries.conf.d/001.conf", "[aliases]\n'gone' = ''\n")
	second := write(t, dir, "var/cache/containers/short-name-aliases.conf", "[aliases]\n'system' = 'b.example/x'\n")
	write(t, dir, "cache/containers/short-name-aliases.conf", "[aliases]\n'ubi8/ubi' = 'c.example/y'\n")
	c := NewContainers(m, "")
	for name, want := range map[string]string{
		"fedora":   "registry.fedoraproject.org/fedora by " + first + " (aliases.fedora)",
		"system":   "b.example/x by " + second + " (aliases.system)",
		"ubi8/ubi": "c.example/y by " + filepath.Join(dir, "cache/containers/short-name-aliases.conf") + " (aliases.ubi8/ubi)",
		"gone":     "",
		"debian":   "",
	} {
		got := ""
		if a, ok := c.Alias(name); ok {
			got = a.Name + " by " + a.Place.String()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func FuzzRegistriesConf(f *testing.F) {
	f.Add([]byte(someRegistries), "docker.io", "library/app")
	f.Add([]byte("[registries.insecure]\nregistries = ['a']"), "a", "b")
	f.Fuzz(func(t *testing.T, data []byte, registry, repository string) {
		tables, _, err := parseRegistries(data, "registries.conf", false)
		if err != nil && tables != nil {
			t.Errorf("tables and an error: %v", err)
		}
		c := Containers{tables: tables}
		if registry == "" || strings.Contains(registry, "/") {
			return
		}
		for _, h := range c.Lookup(registry, repository).Hosts {
			checkHost(t, h)
		}
	})
}
