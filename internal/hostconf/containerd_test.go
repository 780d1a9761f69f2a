package hostconf

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write writes a file below dir, and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// describe writes a host as "URL [last] [tags|no tags] …:LINE". dir stands for D in files.
func describe(h Host, dir string) string {
	words := []string{"itself"}
	if h.URL != nil {
		words[0] = h.URL.String()
		if h.API != RootOf(h.URL.Path) {
			words = append(words, "api="+h.API)
		}
	}
	word := func(applies bool, text string) {
		if applies {
			words = append(words, strings.ReplaceAll(text, cmp.Or(dir, "\x00"), "D"))
		}
	}
	word(h.Last, "last")
	word(h.Tags == Granted, "tags")
	word(h.Tags == Denied, "no-tags")
	word(h.TagsOnly, "tags-only")
	word(h.Unverified, "unverified")
	word(h.Plain, "plain")
	word(h.Strip != "", "strip="+h.Strip)
	word(len(h.CA) > 0, "ca="+strings.Join(h.CA, ","))
	for _, pair := range h.Clients {
		word(true, "client="+pair[0]+"+"+pair[1])
	}
	for name, values := range h.Header {
		word(true, fmt.Sprintf("%s=%q", name, values))
	}
	word(h.DialTimeout > 0, h.DialTimeout.String())
	word(h.Line > 0, fmt.Sprintf(":%d", h.Line))
	return strings.Join(words, " ")
}

func describeAll(hosts []Host, dir string) (all []string) {
	for _, h := range hosts {
		all = append(all, describe(h, dir))
	}
	return all
}

func TestHostsToml(t *testing.T) {
	for _, test := range []struct {
		about, text string
		want        []string
		err         string // in the problem
	}{
		{"nothing but the registry itself", "# a comment\n", nil, ""},
		{"the server comes last, wherever it is written", "server = 'https://s.example'\n[host.'https://a.example']\n", []string{"https://a.example/v2 :2", "https://s.example/v2 last"}, ""},
		{
			"hosts have the order of their headers", "[host.'https://b.example']\n[host.'https://a.example']\n[host.'https://b.example'.header]\nX = 'y'\n",
			[]string{`https://b.example/v2 X=["y"] :1`, "https://a.example/v2 :2"},
			"",
		},
		{"a header table alone is a host", "[host.'https://b.example'.header]\nx-y = ['1', '2']\n", []string{`https://b.example/v2 X-Y=["1" "2"] :1`}, ""},
		{"dotted keys and inline tables are not seen", "host.'https://a.example'.capabilities = ['pull']\n", nil, ""},
		{
			"capabilities", "[host.'a.example']\ncapabilities = ['pull', 'Resolve']\n[host.'b.example']\ncapabilities = ['pull']\n[host.'c.example']\ncapabilities = ['resolve']\n[host.'d.example']\ncapabilities = []\n[host.'e.example']\ncapabilities = ['push', 'referrers']\n",
			[]string{"https://a.example/v2 tags :1", "https://b.example/v2 no-tags :3", "https://c.example/v2 no-tags :5", "https://d.example/v2 :7", "https://e.example/v2 no-tags :9"},
			"",
		},
		{
			"paths", "[host.'https://A.example/']\n[host.'https://b.example/us']\n[host.'https://c.example/v2']\n[host.'https://d.example/v2/hub']\n[host.'https://e.example/x/../y/']\n",
			[]string{"https://a.example/v2 :1", "https://b.example/us/v2 :2", "https://c.example/v2 :3", "https://d.example/v2/hub/v2 api=/v2/hub/v2 :4", "https://e.example/y/v2 :5"},
			"",
		},
		{
			"override_path", "[host.'https://a.example/v2/hub']\noverride_path = true\n[host.'https://b.example/api']\noverride_path = true\n[host.'https://c.example']\noverride_path = true\n",
			[]string{"https://a.example/v2/hub :1", "https://b.example/api :3", "https://c.example/ :5"},
			"",
		},
		{
			"certificates", "ca = 'root.pem'\nskip_verify = true\n[host.'https://a.example']\nca = ['/abs/a.pem', 'b.pem']\nclient = 'both.pem'\n[host.'https://b.example']\nclient = [['c.cert', 'c.key'], ['d.pem', ''], 'e.pem']\n",
			[]string{"https://a.example/v2 ca=/abs/a.pem,D/b.pem client=D/both.pem+ :3", "https://b.example/v2 client=D/c.cert+D/c.key client=D/d.pem+ client=D/e.pem+ :6", "itself last unverified ca=D/root.pem"},
			"",
		},
		{
			"http with settings of TLS is TLS first", "[host.'http://a.example']\nskip_verify = true\n[host.'http://b.example:5000']\nca = 'a'\n[host.'http://c.example']\n",
			[]string{"https://a.example:80/v2 unverified plain :1", "https://b.example:5000/v2 plain ca=D/a :3", "http://c.example/v2 :5"},
			"",
		},
		{"a time to dial", "dial_timeout = '90s'\n[host.'a.example']\ndial_timeout = '1.5s'", []string{"https://a.example/v2 1.5s :2", "itself last 1m30s"}, ""},
		{"the capabilities of the registry itself are all", "capabilities = ['push']\nskip_verify = true", []string{"itself last unverified"}, ""},
		{"those of a server are not", "capabilities = ['pull']\nserver = 's.example'", []string{"https://s.example/v2 last no-tags"}, ""},
		{"unknown keys mean nothing", "later = 1\n[host.'a.example']\nfuture = true\n", []string{"https://a.example/v2 :2"}, ""},

		{"bad TOML", "[host.'a.example'\n", nil, "line 1: "},
		{"an unknown capability", "[host.'a.example']\ncapabilities = ['pul']", nil, `host "a.example": unknown capability "pul"`},
		{"a wrong type", "[host.'a.example']\nskip_verify = 'yes'", nil, "line 2: host.a.example.skip_verify has the wrong type"},
		{"a wrong ca", "ca = 5", nil, "ca is neither a file nor a list of files"},
		{"a wrong list of ca", "ca = ['a', 5]", nil, "ca is neither a file nor a list of files"},
		{"a wrong client", "client = [['a']]", nil, "client is neither"},
		{"a wrong header", "[header]\nX = 1", nil, `header "X" is neither a string nor a list of strings`},
		{"a wrong time", "dial_timeout = '5'", nil, `dial_timeout "5" is not a time`},
		{"another scheme", "[host.'httpx://a.example']", nil, "its address is not http(s)://HOST"},
		{"no host", "[host.'https:///a']", nil, "its address is not http(s)://HOST"},
		{"a password", "[host.'https://u:secret@a.example']", nil, `host "https://a.example": its address has a password`},
		{"larger than any", strings.Repeat("#", maxFile+1), nil, "larger than 1 MiB"},
	} {
		t.Run(test.about, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "docker.io")
			write(t, dir, "hosts.toml", test.text)
			a := Containerd{[]string{filepath.Dir(dir)}}.Lookup("docker.io")
			if got := describeAll(a.Hosts, dir); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			said := ""
			for _, p := range a.Problems {
				said = p.Error()
			}
			if (test.err == "") != (said == "") || !strings.Contains(said, test.err) || strings.Contains(said, "secret") {
				t.Errorf("said %q, want %q", said, test.err)
			}
			if said != "" && !strings.HasSuffix(said, "segpull ignores the whole file: correct it") {
				t.Errorf("it does not say what to do: %s", said)
			}
		})
	}
}

// The first root that has a directory for the registry, or for any, is the only one.
func TestRootsOfContainerd(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	host := func(root, name, address string) {
		write(t, root, filepath.Join(name, "hosts.toml"), fmt.Sprintf("[host.%q]", address))
	}
	host(a, "_default", "https://any.example")
	host(a, "h:5000", "https://colon.example")
	host(a, "h_5000_", "https://underscore.example")
	host(a, "p:1", "https://port.example")
	host(b, "docker.io", "https://b.example")
	host(dir, "outside", "https://outside.example")
	for _, test := range []struct {
		roots, registry, want string
		named                 bool
	}{
		{a + ":" + b, "docker.io", "https://any.example/v2 :1", false},
		{b + ":" + a, "docker.io", "https://b.example/v2 :1", true},
		{a, "h:5000", "https://underscore.example/v2 :1", true},
		{a, "p:1", "https://port.example/v2 :1", true},
		{b, "quay.io", "", false},
		{a, "..", "", false},
		{a, "../outside", "", false},
		{a, "", "", false},
		{filepath.Join(dir, "none"), "docker.io", "", false},
	} {
		got := NewContainerd(Machine{}, test.roots).Lookup(test.registry)
		if strings.Join(describeAll(got.Hosts, dir), " ") != test.want || got.Named != test.named {
			t.Errorf("%s in %s: %q, named %t", test.registry, test.roots, describeAll(got.Hosts, dir), got.Named)
		}
	}
}

// Without hosts.toml, with an empty one, and with a wrong one, the certificates in the
// directory are those of the registry itself.
func TestCertificatesInTheDirectoryOfARegistry(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "docker.io")
	for _, name := range []string{"a.crt", "b.cert", "b.key", "c.cert", "readme"} {
		write(t, dir, name, "")
	}
	const want = "itself last ca=D/a.crt client=D/b.cert+D/b.key client=D/c.cert+"
	for about, text := range map[string]string{"absent": "", "empty": "", "wrong": "ca = 1", "right": "[host.'a.example']"} {
		if about != "absent" {
			write(t, dir, "hosts.toml", text)
		} else if err := os.RemoveAll(filepath.Join(dir, "hosts.toml")); err != nil {
			t.Fatal(err)
		}
		a := Containerd{[]string{root}}.Lookup("docker.io")
		got := strings.Join(describeAll(a.Hosts, dir), " ")
		if (got == want) != (about != "right") || (len(a.Problems) > 0) != (about == "wrong") {
			t.Errorf("%s: %s, %v", about, got, a.Problems)
		}
	}
}

// The user's roots come first, then those of containerd's configuration, then the usual.
func TestRootsOfTheMachine(t *testing.T) {
	dir := t.TempDir()
	m := Machine{Root: dir, Config: filepath.Join(dir, "config")}
	places := []string{"config/containerd/certs.d", "config/docker/certs.d", "opt/certs", "etc/containerd/certs.d", "etc/docker/certs.d", "var/lib/rancher/k3s/agent/etc/containerd/certs.d", "var/lib/rancher/rke2/agent/etc/containerd/certs.d"}
	write(t, dir, "etc/containerd/config.toml", "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/opt/certs\"\n")
	for i := len(places) - 1; i >= 0; i-- {
		write(t, dir, places[i]+"/_default/hosts.toml", fmt.Sprintf("[host.'https://%d.example']", i))
		got := describeAll(NewContainerd(m, "").Lookup("docker.io").Hosts, dir)
		if want := fmt.Sprintf("https://%d.example/v2 :1", i); !slices.Equal(got, []string{want}) {
			t.Errorf("after %s was written: %q", places[i], got)
		}
	}
	write(t, dir, "etc/containerd/config.toml", "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/new:/opt/certs\"\n")
	if roots := NewContainerd(m, "").roots; !slices.Contains(roots, filepath.Join(dir, "new")) || !slices.Contains(roots, filepath.Join(dir, "opt/certs")) {
		t.Errorf("roots %q", roots)
	}
}

func FuzzHostsToml(f *testing.F) {
	for _, seed := range []string{"server = 'a'\n[host.'http://b/v2/c']\noverride_path = true", "[host.x.header]\na = ['b']", "client = [['a', '']]\nca = 'x'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		hosts, err := parseHosts(data, "/certs.d/docker.io/hosts.toml")
		if err != nil && hosts != nil {
			t.Errorf("hosts and an error: %v", err)
		}
		for _, h := range hosts {
			checkHost(t, h)
		}
	})
}

// checkHost checks what the users of a host rely on.
func checkHost(t *testing.T, h Host) {
	if h.URL == nil {
		return
	}
	if h.URL.Hostname() == "" || h.URL.Scheme != "http" && h.URL.Scheme != "https" || h.URL.User != nil || h.URL.RawQuery != "" || !strings.HasPrefix(h.URL.Path, "/") || !strings.HasPrefix(h.URL.Path, h.API) {
		t.Errorf("%q, API %q", h.URL, h.API)
	}
}
