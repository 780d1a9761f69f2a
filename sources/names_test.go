package sources

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// places lists the endpoints as "name url", an origin with a star.
func places(found []endpoint) []string {
	var out []string
	for _, e := range found {
		star := ""
		if e.origin {
			star = "*"
		}
		if e.plain {
			star += "?"
		}
		out = append(out, fmt.Sprintf("%s %s%s", e.name, e.url, star))
	}
	return out
}

const someMirrors = `
[mirror.corp]
url = "https://harbor.corp/dockerhub"

[mirror.all]
url = "http://cache.corp:8080/<registry>"
registries = ["*"]

[mirror.aliyun]
id = "no8ju4hi"

[mirror.quay-only]
url = "https://quay.corp"
registries = ["quay.io"]

[mirror."docker.io"]
limit-rate = "1M"

[mirror."registry.corp:5000"]
url = "http://registry.corp:5000"

[mirror.163]
url = "https://mine.example"
`

func TestNamesStandForSources(t *testing.T) {
	for _, test := range []struct {
		about    string
		config   string
		names    []string
		registry string
		want     []string
		reported []string // in the errors, in order
	}{
		{about: "nothing is the origin", registry: "docker.io", want: []string{"docker.io https://registry-1.docker.io*"}},
		{about: "any registry is its own origin", registry: "ghcr.io", want: []string{"ghcr.io https://ghcr.io*"}},
		{about: "loopback may be asked by http", registry: "localhost:5000", want: []string{"localhost:5000 https://localhost:5000*?"}},
		{about: "an IPv6 loopback too", registry: "[::1]:5000", want: []string{"[::1]:5000 https://[::1]:5000*?"}},
		{about: "and names below localhost", registry: "a.localhost", want: []string{"a.localhost https://a.localhost*?"}},
		{about: "an address in 127.0.0.0/8", registry: "127.9.9.9:80", want: []string{"127.9.9.9:80 https://127.9.9.9:80*?"}},
		{about: "a private address is not loopback", registry: "10.0.0.1:5000", want: []string{"10.0.0.1:5000 https://10.0.0.1:5000*"}},
		{about: "a name that begins like one is not loopback", registry: "127.0.0.1.evil.example", want: []string{"127.0.0.1.evil.example https://127.0.0.1.evil.example*"}},

		{
			about: "exactly the named, in their order", registry: "docker.io",
			names: []string{"daocloud", "http://10.0.0.1:5000", "docker.io"},
			want:  []string{"daocloud https://docker.m.daocloud.io", "10.0.0.1:5000 http://10.0.0.1:5000", "docker.io https://registry-1.docker.io*"},
		},
		{
			about: "a prefix is part of the name", registry: "ghcr.io",
			names: []string{"https://Harbor.example/ghcr/", "https://h.example/v2/hub", "https://i.example/v2/"},
			want:  []string{"harbor.example/ghcr https://harbor.example/ghcr", "h.example/hub https://h.example/hub", "i.example https://i.example"},
		},
		{
			about: "a preset of several registries", registry: "registry.k8s.io", names: []string{"daocloud", "daocloud-prefix"},
			want: []string{"daocloud https://k8s.m.daocloud.io", "daocloud-prefix https://m.daocloud.io/registry.k8s.io"},
		},
		{
			about: "an address counts once", registry: "docker.io",
			names: []string{"docker.io", "index.docker.io", "https://registry-1.docker.io/"},
			want:  []string{"docker.io https://registry-1.docker.io*"},
		},
		{about: "an explicit https is TLS on loopback too", registry: "localhost:5000", names: []string{"https://localhost:5000"}, want: []string{"localhost:5000 https://localhost:5000"}},

		{
			about: "without an id, the error says how to give one", registry: "docker.io", names: []string{"aliyun", "docker.io"},
			want:     []string{"docker.io https://registry-1.docker.io*"},
			reported: []string{`mirror aliyun: needs your accelerator id; set id = "…" under [mirror.aliyun] in CONFIG, or use --mirror https://<id>.mirror.aliyuncs.com`},
		},
		{about: "an id is one label", config: "[mirror.aliyun]\nid = 'evil.example/'", registry: "docker.io", names: []string{"aliyun"}, reported: []string{`id "evil.example/" is not one`}},
		{about: "a preset of another registry", registry: "ghcr.io", names: []string{"gcr"}, reported: []string{"mirror gcr: does not mirror ghcr.io; use another mirror, or --mirror ghcr.io"}},
		{about: "another registry", registry: "docker.io", names: []string{"ghcr.io"}, reported: []string{"is a registry of its own, not docker.io; as a mirror of docker.io write --mirror https://ghcr.io"}},
		{about: "a dead preset says so", registry: "docker.io", names: []string{"163"}, reported: []string{"it was shut down (hub-mirror.c.163.com), as of 20"}},
		{about: "no such name", registry: "docker.io", names: []string{"alyun"}, reported: []string{`mirror "alyun": no such mirror; known are 1ms, aliyun, `}},
		{about: "an empty name", registry: "docker.io", names: []string{""}, reported: []string{`mirror "": no such mirror`}},
		{about: "a forgotten scheme", registry: "docker.io", names: []string{"harbor.example/hub"}, reported: []string{"neither a name nor a URL; write http(s)://"}},
		{about: "another scheme", registry: "docker.io", names: []string{"ftp://a"}, reported: []string{`its URL does not begin with http:// or https://`}},
		{about: "no host", registry: "docker.io", names: []string{"https:///a"}, reported: []string{"no host"}},
		{about: "a port out of bounds", registry: "docker.io", names: []string{"http://127.0.0.1:99999"}, reported: []string{"mirror http://127.0.0.1:99999: port 99999 is invalid: ports are 1 to 65535"}},
		{about: "port zero", registry: "docker.io", names: []string{"http://a.example:0"}, reported: []string{"port 0 is invalid"}},
		{about: "a registry's port out of bounds", registry: "localhost:99999", reported: []string{"port 99999 is invalid"}},
		{about: "a placeholder typed as it stands", registry: "docker.io", names: []string{"https://<id>.mirror.aliyuncs.com"}, reported: []string{"needs your accelerator id; write it in place of <id>"}},
		{about: "a path before /v2/", registry: "docker.io", names: []string{"https://nexus.example/hub/v2/"}, want: []string{"nexus.example/hub/v2 https://nexus.example/hub/v2"}},
		{about: "a path that climbs", registry: "docker.io", names: []string{"https://a.example/../b"}, reported: []string{`the path "/../b" has an empty part or dots`}},
		{about: "the port that https has anyway", registry: "a.example", names: []string{"a.example:443"}, want: []string{"a.example:443 https://a.example*"}},
		{about: "a host that is listed as insecure", registry: "a.example:5000", config: "insecure-registries = ['a.example:5000']", want: []string{"a.example:5000 https://a.example:5000*?"}},
		{about: "another port of it", registry: "a.example:5001", config: "insecure-registries = ['a.example:5000']", want: []string{"a.example:5001 https://a.example:5001*"}},
		{about: "a network that is listed", registry: "10.1.2.3:5000", config: "insecure-registries = ['10.0.0.0/8']", want: []string{"10.1.2.3:5000 https://10.1.2.3:5000*?"}},
		{about: "but not by https://", registry: "docker.io", names: []string{"https://127.0.0.1:5000"}, want: []string{"127.0.0.1:5000 https://127.0.0.1:5000"}},
		{about: "a query", registry: "docker.io", names: []string{"https://a.example/?token=secret"}, reported: []string{"mirror https://a.example/: the URL has a query"}},
		{about: "a password", registry: "docker.io", names: []string{"https://u:secret@a.example"}, reported: []string{"mirror https://a.example: the URL contains a password: remove it, and run docker login a.example"}},
		{about: "a password in an invalid URL", registry: "docker.io", names: []string{"https://u:secret@a.example:x"}, reported: []string{"mirror https://a.example:x: invalid port"}},

		{
			about: "the configured in file order, then the origin", config: someMirrors, registry: "docker.io",
			want: []string{
				"corp https://harbor.corp/dockerhub", "all http://cache.corp:8080/docker.io",
				"aliyun https://no8ju4hi.mirror.aliyuncs.com", "163 https://mine.example", "docker.io https://registry-1.docker.io*",
			},
		},
		{
			about: "only those of the registry", config: someMirrors, registry: "quay.io",
			want: []string{"all http://cache.corp:8080/quay.io", "quay-only https://quay.corp", "quay.io https://quay.io*"},
		},
		{
			about: "how a registry itself is reached", config: someMirrors, registry: "registry.corp:5000",
			want: []string{"all http://cache.corp:8080/registry.corp:5000", "registry.corp:5000 http://registry.corp:5000*"},
		},
		{
			about: "named for this pull, it serves any registry", config: someMirrors, registry: "ghcr.io", names: []string{"corp"},
			want: []string{"corp https://harbor.corp/dockerhub"},
		},
		{
			about: "unless it says which", config: someMirrors, registry: "ghcr.io", names: []string{"quay-only", "all"},
			want:     []string{"all http://cache.corp:8080/ghcr.io"},
			reported: []string{`mirror quay-only: does not mirror ghcr.io; add "ghcr.io" to registries under [mirror.quay-only] in c.toml`},
		},
		{
			about: "mirrors picks and orders, and the origin follows", registry: "docker.io",
			config:   "mirrors = ['https://b.example', 'aliyun', 'ghcr.io', 'a']\n[mirror.a]\nurl='https://a.example'\n[mirror.c]\nurl='https://c.example'",
			want:     []string{"b.example https://b.example", "a https://a.example", "docker.io https://registry-1.docker.io*"},
			reported: []string{"mirror aliyun: needs your accelerator id; set id = \"…\" under [mirror.aliyun] in c.toml"},
		},
		{
			about: "a default of no registry is not asked for private images", registry: "registry.corp",
			config: "mirrors = ['https://b.example', 'aliyun']", want: []string{"registry.corp https://registry.corp*"},
		},
		{
			about: "the origin stays where mirrors has it", registry: "docker.io",
			config: "mirrors = ['docker.io', 'gcr']", want: []string{"docker.io https://registry-1.docker.io*", "gcr https://mirror.gcr.io"},
		},
		{about: "a table without a url", config: "[mirror.a]\nns = true", registry: "docker.io", names: []string{"a"}, reported: []string{`mirror a: has no url; set url = "https://…" under [mirror.a] in c.toml`}},
	} {
		t.Run(test.about, func(t *testing.T) {
			cfg, file := Config{}, ConfigPath()
			if test.config != "" {
				var err error
				if cfg, err = parseConfig([]byte(test.config), "c.toml"); err != nil {
					t.Fatal(err)
				}
			}
			found, unusable, _ := namingOf(cfg, test.registry).choose(test.names)
			if got := places(found); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if len(unusable) != len(test.reported) {
				t.Fatalf("reported %q, want %q", unusable, test.reported)
			}
			for i, err := range unusable {
				if want := strings.ReplaceAll(test.reported[i], "CONFIG", file); !strings.Contains(err.Error(), want) {
					t.Errorf("reported %q\nwant %q", err, want)
				}
				if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
					t.Errorf("an error has a secret or several lines: %q", err)
				}
			}
		})
	}
}

func TestATableChangesAPreset(t *testing.T) {
	cfg, err := parseConfig([]byte("[mirror.daocloud]\nconnections = 7\nlimit-rate = '1M'\nregistries = ['ghcr.io']\ntags = false\nid = 'x'\nns = true\nproxy = 'direct'\nca = 'a'\nheaders = {a = 'b'}"), "c.toml")
	if err != nil {
		t.Fatal(err)
	}
	found, _, _ := namingOf(cfg, "ghcr.io").choose([]string{"daocloud"})
	if len(found) != 1 || found[0].url.Host != "ghcr.m.daocloud.io" {
		t.Fatalf("got %q", places(found))
	}
	e := found[0]
	if e.Connections != 7 || e.LimitRate != 1<<20 || e.trusted() || !*e.NS || e.Proxy != "direct" || len(e.CA) != 1 || e.Headers["a"] != "b" {
		t.Errorf("got %+v", e)
	}
	if e.Note == "" {
		t.Error("the preset's note is gone")
	}
	if found, _, _ := namingOf(cfg, dockerHub).choose([]string{"daocloud"}); len(found) != 0 {
		t.Errorf("registries did not narrow the preset: %q", places(found))
	}
}

func TestEveryPresetIsUsable(t *testing.T) {
	for name, p := range presets() {
		if p.Note == "" || isRegistry(name) {
			t.Errorf("%s: no note, or a name that reads as a registry", name)
		}
		if p.Dead {
			continue
		}
		registries := slices.Clone(p.Registries)
		for registry := range p.URLs {
			registries = append(registries, registry)
		}
		if len(registries) == 0 {
			t.Errorf("%s: mirrors nothing", name)
		}
		for _, registry := range registries {
			cfg := Config{Mirror: map[string]Mirror{name: {ID: "abc"}}}
			found, unusable, _ := namingOf(cfg, registry).choose([]string{name})
			if len(found) != 1 || found[0].url.Scheme != "https" || len(unusable) != 0 {
				t.Errorf("%s for %s: %q %q", name, registry, places(found), unusable)
			}
		}
	}
}

func FuzzMirrorURL(f *testing.F) {
	for _, seed := range []string{"https://a.example/b", "http://[::1]:5000", "https://u:p@h/v2/x?q#f", "HTTP://A//", "https://a/%2e%2e/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseURL(s)
		if err != nil {
			return
		}
		again, err := parseURL(u.String())
		if err != nil || *again != *u {
			t.Fatalf("%q is %v, read again %v, %v", s, u, again, err)
		}
		if u.User != nil || u.RawQuery != "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
			t.Fatalf("%q is %v", s, u)
		}
		if clean, err := url.JoinPath("https://h/v2/", u.EscapedPath(), "x"); err != nil || !strings.HasPrefix(clean, "https://h/v2/") {
			t.Fatalf("%q leaves /v2/: %s, %v", s, clean, err)
		}
	})
}

// namingOf is for the images of a registry.
func namingOf(cfg Config, registry string) naming {
	return naming{cfg: cfg, images: Images{Registry: registry}}
}
