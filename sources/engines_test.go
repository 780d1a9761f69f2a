package sources

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// engineFiles writes the files of engines, as "PATH\nTEXT", below a root, and returns it.
func engineFiles(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		path, text, _ := strings.Cut(f, "\n")
		write(t, filepath.Join(root, path), text)
	}
	return root
}

// withEngines returns a configuration with the engines below root.
func withEngines(t *testing.T, c Config, root string, from ...string) Config {
	t.Helper()
	e, err := FindEngines(t.Context(), from, root)
	if err != nil {
		t.Fatal(err)
	}
	c.Engines = e
	return c
}

// described lists sources as "FROM URL", with what they are not trusted for.
func described(set *Set) (list []string) {
	for _, s := range set.Sources() {
		text := s.Place().From + " " + s.URL()
		if !s.ResolvesTags() {
			text += " no-tags"
		}
		if !s.at.verified() {
			text += " unverified"
		}
		if s.SendsNamespace() {
			text += " ns"
		}
		list = append(list, text)
	}
	set.Close()
	return list
}

const (
	hubHosts = `etc/containerd/certs.d/docker.io/hosts.toml
server = "https://registry-1.docker.io"
[host."https://b.example"]
capabilities = ["pull"]
[host."https://a.example/us"]
`
	anyHosts = `etc/containerd/certs.d/_default/hosts.toml
[host."https://any.example"]
`
	daemonJSON = `etc/docker/daemon.json
{"registry-mirrors": ["https://d.example", "https://b.example"], "insecure-registries": ["insecure.lan:5000"]}`
	registriesConf = `etc/containers/registries.conf
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "p.example/hub"
[[registry.mirror]]
location = "t.example"
pull-from-mirror = "tag-only"
[[registry]]
prefix = "docker.io/library"
location = "official.example/x"
[[registry]]
location = "plain.lan"
insecure = true
[[registry.mirror]]
location = "m.plain.lan"
insecure = true
[[registry]]
location = "only.lan"
insecure = true
[[registry]]
location = "evil.example"
blocked = true
[aliases]
"fedora" = "registry.fedoraproject.org/fedora"
"app" = "docker.io/library/app"
`
)

func TestSourcesOfEngines(t *testing.T) {
	own := Config{Mirrors: []string{"office"}, Mirror: map[string]Mirror{"office": {URL: "https://office.example"}}}
	files := []string{hubHosts, anyHosts, daemonJSON, registriesConf}
	containerd := []string{"containerd https://b.example no-tags ns", "containerd https://a.example/us/v2 ns"}
	for _, test := range []struct {
		about  string
		config Config
		from   []string
		names  []string
		images Images
		files  []string
		want   []string
	}{
		{
			"all, in their order, each address once", own, nil, nil,
			Images{"docker.io", "team/app", false},
			files,
			[]string{"config https://office.example", containerd[0], containerd[1], "docker https://d.example", "containers https://p.example/hub", "containers https://t.example", "registry https://registry-1.docker.io"},
		},
		{
			"named by digest: not the mirror for tags",
			Config{},
			[]string{"containers"},
			nil,
			Images{"docker.io", "team/app", true},
			files,
			[]string{"containers https://p.example/hub", "registry https://registry-1.docker.io"},
		},
		{
			"a table for some repositories",
			Config{},
			[]string{"containers"},
			nil,
			Images{"docker.io", "library/app", false},
			files,
			[]string{"containers https://official.example/x", "registry https://registry-1.docker.io"},
		},
		{
			"exactly those that are named", own, nil,
			[]string{"https://n.example"},
			Images{"docker.io", "library/app", false},
			files,
			[]string{"flag https://n.example"},
		},
		{
			"one excludes the others, also the configuration", own,
			[]string{"docker"},
			nil,
			Images{"docker.io", "a/b", false},
			files,
			[]string{"docker https://d.example", "docker https://b.example", "registry https://registry-1.docker.io"},
		},
		{
			"several, in the order in which they are named", own,
			[]string{"docker", "config"},
			nil,
			Images{"docker.io", "a/b", false},
			files,
			[]string{"docker https://d.example", "docker https://b.example", "config https://office.example", "registry https://registry-1.docker.io"},
		},
		{"none", own, []string{"none"}, nil, Images{"docker.io", "a/b", false}, files, []string{"registry https://registry-1.docker.io"}},
		{
			"any registry",
			Config{},
			nil, nil,
			Images{"ghcr.io", "a/b", false},
			files,
			[]string{"containerd https://any.example ns", "registry https://ghcr.io"},
		},
		{
			"an insecure registry is trusted for tags if no other source is",
			Config{},
			nil, nil,
			Images{"only.lan", "a", false},
			[]string{registriesConf},
			[]string{"registry https://only.lan unverified"},
		},
		{
			"of two that are insecure, both are",
			Config{},
			nil, nil,
			Images{"plain.lan", "a", false},
			[]string{registriesConf},
			[]string{"containers https://m.plain.lan unverified", "registry https://plain.lan unverified"},
		},
		{
			"an insecure registry of Docker's",
			Config{},
			[]string{"docker"},
			nil,
			Images{"insecure.lan:5000", "a", false},
			files,
			[]string{"registry https://insecure.lan:5000 unverified"},
		},
		{
			"skip_verify beside a source that is verified",
			Config{},
			nil, nil,
			Images{"docker.io", "a/b", false},
			[]string{"etc/containerd/certs.d/docker.io/hosts.toml\n[host.'https://x.example']\nskip_verify = true\n[host.'https://y.example']\nskip_verify = true\ncapabilities = ['pull', 'resolve']\n"},
			[]string{"containerd https://x.example no-tags unverified ns", "containerd https://y.example unverified ns", "registry https://registry-1.docker.io"},
		},
		{
			"the registry itself where its host stands",
			Config{},
			nil, nil,
			Images{"docker.io", "a/b", false},
			[]string{"etc/containerd/certs.d/docker.io/hosts.toml\n[host.'https://registry-1.docker.io']\n[host.'https://y.example']\n"},
			[]string{"registry https://registry-1.docker.io", "containerd https://y.example ns"},
		},
		{
			"a registry that its host makes http",
			Config{},
			nil, nil,
			Images{"r.lan:5000", "a", false},
			[]string{"etc/containerd/certs.d/r.lan:5000/hosts.toml\nserver = 'http://r.lan:5000'\n"},
			[]string{"registry http://r.lan:5000"},
		},
		{
			"settings for the registry itself",
			Config{},
			nil, nil,
			Images{"r.lan:5000", "a", false},
			[]string{"etc/containerd/certs.d/r.lan_5000_/hosts.toml\nskip_verify = true\n"},
			[]string{"registry https://r.lan:5000 unverified"},
		},
		{
			"a table of ours for the registry has precedence",
			Config{Mirror: map[string]Mirror{"r.lan:5000": {}}},
			nil, nil,
			Images{"r.lan:5000", "a", false},
			[]string{"etc/containerd/certs.d/r.lan_5000_/hosts.toml\nskip_verify = true\n"},
			[]string{"registry https://r.lan:5000"},
		},
		{
			"paths as the engine asks them",
			Config{},
			nil, nil,
			Images{"docker.io", "a/b", false},
			[]string{"etc/containerd/certs.d/docker.io/hosts.toml\n[host.'https://h.example/v2/hub']\noverride_path = true\n[host.'https://h.example/api']\noverride_path = true\n[host.'https://h.example']\noverride_path = true\n"},
			[]string{"containerd https://h.example/hub ns", "containerd https://h.example/api ns", "containerd https://h.example/ ns", "registry https://registry-1.docker.io"},
		},
	} {
		t.Run(test.about, func(t *testing.T) {
			cfg := withEngines(t, test.config, engineFiles(t, test.files...), test.from...)
			set, _, err := New(cfg, NewLogins("none", nil), test.names, test.images)
			if err != nil {
				t.Fatal(err)
			}
			if got := described(set); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestABlockedRegistryIsRefused(t *testing.T) {
	root := engineFiles(t, registriesConf)
	cfg := withEngines(t, Config{}, root)
	_, _, err := New(cfg, NewLogins("none", nil), nil, Images{Registry: "evil.example"})
	if want := "blocked in " + root + "/etc/containers/registries.conf:21; to pull them all the same, name the sources with --mirror"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	set, _, err := New(cfg, NewLogins("none", nil), []string{"evil.example"}, Images{Registry: "evil.example"})
	if err != nil {
		t.Fatalf("named all the same: %v", err)
	}
	set.Close()
}

// A place says where the user finds the setting.
func TestPlaceOfASource(t *testing.T) {
	root := engineFiles(t, hubHosts, daemonJSON)
	path := write(t, filepath.Join(t.TempDir(), "c.toml"), "mirrors = ['office', 'daocloud']\n[mirror.office]\nurl = 'https://office.example'\n[mirror.'docker.io']\nconnections = 2")
	cfg, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := New(withEngines(t, cfg, root), NewLogins("none", nil), nil, Images{Registry: dockerHub})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	hosts, daemon := root+"/etc/containerd/certs.d/docker.io/hosts.toml", root+"/etc/docker/daemon.json"
	want := []Place{
		{"config", path, 0, "mirror.office"},
		{"config", path, 0, "mirrors"},
		{"containerd", hosts, 2, ""},
		{"containerd", hosts, 4, ""},
		{"docker", daemon, 0, "registry-mirrors"},
		{"registry", path, 0, "mirror.docker.io"},
	}
	for i, s := range set.Sources() {
		if i < len(want) && s.Place() != want[i] {
			t.Errorf("%s is at %+v, want %+v", s.Name(), s.Place(), want[i])
		}
	}
	if len(set.Sources()) != len(want) {
		t.Errorf("%d sources", len(set.Sources()))
	}
}

// A file with a mistake is reported once, and ignored.
func TestAWrongFileIsReportedOnce(t *testing.T) {
	cfg := withEngines(t, Config{}, engineFiles(t, "etc/docker/daemon.json\n{", "etc/containers/registries.conf\n[[registry]]\n"))
	for i, want := range []int{2, 0} {
		set, reported, err := New(cfg, NewLogins("none", nil), nil, Images{Registry: "ghcr.io"})
		if err != nil || len(reported) != want {
			t.Errorf("set %d: %v, %v", i, reported, err)
		}
		set.Close()
	}
}

func TestFindEnginesSaysWhatIsWrong(t *testing.T) {
	for value, want := range map[string]string{
		"podman":                 `mirrors-from "podman" is unknown; use containerd[:DIR], docker[:FILE], containers[:FILE], config or none`,
		"config:x":               "is unknown",
		"docker:":                "is unknown",
		"docker:/no/such/file":   "mirrors-from docker:/no/such/file: stat /no/such/file: no such file or directory; correct the path",
		"containerd:/etc:/no/x":  "/no/x",
		"none docker":            "none excludes all others",
		"docker none":            "none excludes all others",
		"docker docker:/dev/nul": "names docker twice",
	} {
		if _, err := FindEngines(t.Context(), strings.Fields(value), t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", value, err, want)
		}
	}
}

// A path may be relative to the configuration, and roots are separated as in config_path.
func TestMirrorsFromOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b/_default/hosts.toml"), "[host.'https://b.example']")
	write(t, filepath.Join(dir, "a/quay.io/hosts.toml"), "[host.'https://a.example']")
	cfg, err := LoadConfig(write(t, filepath.Join(dir, "c.toml"), "mirrors-from = ['containerd:a:b']"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"containerd:" + filepath.Join(dir, "a") + ":" + filepath.Join(dir, "b")}; !slices.Equal(cfg.MirrorsFrom, want) {
		t.Errorf("got %q, want %q", cfg.MirrorsFrom, want)
	}
	set, _, err := New(withEngines(t, cfg, t.TempDir(), cfg.MirrorsFrom...), NewLogins("none", nil), nil, Images{Registry: dockerHub})
	if err != nil {
		t.Fatal(err)
	}
	if got := described(set); got[0] != "containerd https://b.example ns" {
		t.Errorf("got %q", got)
	}
}

func TestScopes(t *testing.T) {
	cfg := withEngines(t, Config{}, engineFiles(t, registriesConf))
	for _, test := range []struct {
		about string
		a, b  Images
		same  bool
	}{
		{"two repositories", Images{"docker.io", "a/b", false}, Images{"docker.io", "c/d", false}, true},
		{"one with a table of its own", Images{"docker.io", "a/b", false}, Images{"docker.io", "library/d", false}, false},
		{"a digest, where a mirror is for tags only", Images{"docker.io", "a/b", false}, Images{"docker.io", "a/b", true}, false},
		{"a digest elsewhere", Images{"ghcr.io", "a/b", false}, Images{"ghcr.io", "a/b", true}, true},
		{"two registries", Images{"ghcr.io", "a/b", false}, Images{"quay.io", "a/b", false}, false},
	} {
		if same := cfg.Scope(test.a) == cfg.Scope(test.b); same != test.same {
			t.Errorf("%s: %q and %q", test.about, cfg.Scope(test.a), cfg.Scope(test.b))
		}
	}
	if scope := (Config{}).Scope(Images{"Index.Docker.io", "library/d", true}); scope != dockerHub {
		t.Errorf("without engines: %q", scope)
	}
}

func TestAliasesOfPodman(t *testing.T) {
	root := engineFiles(t, registriesConf)
	cfg := withEngines(t, Config{}, root)
	for name, want := range map[string]string{
		"fedora": "registry.fedoraproject.org/fedora:latest", "fedora:39": "registry.fedoraproject.org/fedora:39",
		"docker.io/fedora": "", "app": "", "other": "", "localhost:5000/fedora": "",
	} {
		ref, where, ok := cfg.Engines.Alias(name)
		got := ""
		if ok {
			got = ref.String()
		}
		if got != want || ok && where != root+"/etc/containers/registries.conf (aliases.fedora)" {
			t.Errorf("%s: %q in %q, want %q", name, got, where, want)
		}
	}
	if _, _, ok := withEngines(t, Config{}, root, "docker").Engines.Alias("fedora"); ok {
		t.Error("aliases count without containers")
	}
}

// What a hosts.toml says arrives at the host: certificates, header, ns, paths and trust.
func TestSettingsOfHostsTomlHold(t *testing.T) {
	until := time.Now().Add(time.Hour)
	server, client := newIdentity(t, until), newIdentity(t, until)
	at := servingTLS(t, server, &client, tls.VersionTLS13)
	root := engineFiles(t)
	dir := filepath.Join(root, "etc/containerd/certs.d/docker.io")
	write(t, filepath.Join(dir, "ca.pem"), server.cert)
	write(t, filepath.Join(dir, "client.pem"), client.cert+client.key)
	fetch := func(settings string) error {
		t.Helper()
		write(t, filepath.Join(dir, "hosts.toml"), fmt.Sprintf("[host.%q]\n%s", at, settings))
		set, _, err := New(withEngines(t, Config{}, root, "containerd"), NewLogins("none", nil), nil, Images{Registry: dockerHub})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		set.sources = set.sources[:1] // not Docker Hub
		_, _, err = set.Fetch(t.Context(), app, ocispec.Descriptor{Digest: imageA.Manifest.Digest})
		return err
	}
	if err := fetch("ca = 'ca.pem'\nclient = 'client.pem'"); err != nil {
		t.Errorf("with ca and client: %v", err)
	}
	if err := fetch("skip_verify = true\nclient = [['client.pem', '']]"); err != nil {
		t.Errorf("with skip_verify and client: %v", err)
	}
	if err := fetch("client = 'client.pem'"); err == nil {
		t.Error("the certificate is trusted without ca")
	}
	if err := fetch("ca = 'ca.pem'"); err == nil {
		t.Error("the client's certificate is not required")
	}
	if err := fetch("ca = 'ca.pem'\nclient = 'client.pem'\ndial_timeout = '1ns'"); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("with dial_timeout: %v", err)
	}
}

func TestRequestsToAHostOfContainerd(t *testing.T) {
	host, at := serving(t, imageA)
	root := engineFiles(t, fmt.Sprintf("etc/containerd/certs.d/docker.io/hosts.toml\n[host.\"%s/us\"]\n[host.\"%s/us\".header]\nX-Team = ['a', 'b']\n", at, at))
	set, _, err := New(withEngines(t, Config{}, root), NewLogins("none", nil), nil, Images{Registry: dockerHub})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	_, _, _ = set.sources[0].client.Manifest(t.Context(), "library/app", "v")
	asked := host.Stats().Log[0]
	if asked.Path != "/us/v2/library/app/manifests/v" || asked.Query != "ns=docker.io" || asked.Header.Get("X-Team") != "a, b" {
		t.Errorf("asked %s?%s with %v", asked.Path, asked.Query, asked.Header)
	}
}

// An insecure location of registries.conf is asked by TLS, and by http if there is none.
func TestAnInsecureMirrorMayBeHTTP(t *testing.T) {
	_, at := serving(t, imageA)
	address := strings.TrimPrefix(at, "http://")
	root := engineFiles(t, "etc/containers/registries.conf\n[[registry]]\nprefix = 'docker.io/library'\nlocation = 'docker.io/library'\n[[registry.mirror]]\nlocation = '"+address+"/library'\ninsecure = true\n")
	set, reported, err := New(withEngines(t, Config{}, root), NewLogins("none", nil), nil, Images{dockerHub, "library/app", false})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	want := "does not check its certificate, so anyone on the network path can answer for it, and it is asked by digest only; give its certificate with ca in place of skip_verify or insecure in " + root + "/etc/containers/registries.conf:4"
	if len(reported) != 1 || !strings.Contains(reported[0].Error(), want) {
		t.Errorf("reported %v, want %s", reported, want)
	}
	set.sources = set.sources[:1]
	if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{Digest: imageA.Manifest.Digest}); err != nil {
		t.Error(err)
	}
	if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{}); err == nil {
		t.Error("it resolves a tag")
	}
}

func TestAServerWithEngines(t *testing.T) {
	root := engineFiles(t, hubHosts, registriesConf, "etc/containerd/certs.d/named.example/hosts.toml\n", "etc/docker/daemon.json\n{\"registry-mirrors\": [\"http://127.0.0.1:5050\"]}")
	open := engineFiles(t, anyHosts)
	for _, test := range []struct {
		about, root, registry string
		listen                string
		want                  []string
	}{
		{"Docker Hub", root, "docker.io", "", []string{"b.example", "a.example/us/v2", "127.0.0.1:5050", "p.example/hub", "t.example", "docker.io"}},
		{"without itself", root, "docker.io", "127.0.0.1:5050", []string{"b.example", "a.example/us/v2", "p.example/hub", "t.example", "docker.io"}},
		{"nor by all addresses", root, "docker.io", "[::]:5050", []string{"b.example", "a.example/us/v2", "p.example/hub", "t.example", "docker.io"}},
		{"another port", root, "docker.io", "127.0.0.1:5051", []string{"b.example", "a.example/us/v2", "127.0.0.1:5050", "p.example/hub", "t.example", "docker.io"}},
		{"a registry that a file names", root, "named.example", "", []string{"named.example"}},
		{"a registry that only a client names", root, "quay.io", "", nil},
		{"is served by a mirror of all, and never itself", open, "quay.io", "", []string{"any.example"}},
		{"a blocked one", root, "evil.example", "", nil},
	} {
		server := Server{Config: withEngines(t, Config{}, test.root)}
		if test.listen != "" {
			server.Addresses = []string{test.listen}
		}
		var got []string
		if server.Serves(test.registry) {
			set, _, err := server.New(NewLogins("none", nil), Images{Registry: test.registry})
			if err != nil {
				t.Fatal(err)
			}
			got = sourceNames(set)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.about, got, test.want)
		}
	}
}
