package hostconf

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDaemonJSON(t *testing.T) {
	for _, test := range []struct {
		about, text, registry string
		want                  []string
		err                   string
	}{
		{"mirrors in their order, without duplicates", `{"registry-mirrors": ["https://a.example", "http://b.example:5000/p/", "https://a.example/"]}`, "docker.io", []string{"https://a.example/v2", "http://b.example:5000/p/v2"}, ""},
		{"of Docker Hub alone", `{"registry-mirrors": ["https://a.example"]}`, "quay.io", nil, ""},
		{"a mirror that is insecure", `{"registry-mirrors": ["https://a.example:1"], "insecure-registries": ["a.example:1"]}`, "docker.io", []string{"https://a.example:1/v2 unverified plain"}, ""},
		{"another port of it", `{"registry-mirrors": ["https://a.example:1"], "insecure-registries": ["a.example:2"]}`, "docker.io", []string{"https://a.example:1/v2"}, ""},
		{"a registry that is insecure", `{"insecure-registries": ["http://a.example:1"]}`, "a.example:1", []string{"itself last unverified plain"}, ""},
		{"in a network", `{"insecure-registries": ["10.0.0.0/8"]}`, "10.1.2.3:5000", []string{"itself last unverified plain"}, ""},
		{"not in it", `{"insecure-registries": ["10.0.0.0/8"]}`, "a.example", nil, ""},
		{"loopback is in every engine", `{"insecure-registries": ["127.0.0.0/8", "::1/128"]}`, "127.0.0.1:5000", nil, ""},
		{"nothing", `{"debug": true}`, "docker.io", nil, ""},
		{"an empty file", "\n", "docker.io", nil, ""},

		{"bad JSON", `{"registry-mirrors": [`, "docker.io", nil, "unexpected end"},
		{"a wrong type", `{"registry-mirrors": "https://a.example"}`, "docker.io", nil, "registry-mirrors"},
		{"one without a scheme", `{"registry-mirrors": ["https://b.example", "a.example"]}`, "docker.io", nil, `registry-mirrors: "a.example" does not begin with http:// or https://`},
		{"a password", `{"registry-mirrors": ["https://u:secret@a.example"]}`, "docker.io", nil, `"https://a.example" has a user`},
		{"a query", `{"registry-mirrors": ["https://a.example?x"]}`, "docker.io", nil, "a query"},
	} {
		file := write(t, t.TempDir(), "daemon.json", test.text)
		a := NewDocker(Machine{}, file).Lookup(test.registry)
		if got := describeAll(a.Hosts, ""); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.about, got, test.want)
		}
		said := ""
		for _, p := range a.Problems {
			said = p.Error()
		}
		if (said == "") != (test.err == "") || !strings.Contains(said, test.err) || strings.Contains(said, "secret") {
			t.Errorf("%s: said %q, want %q", test.about, said, test.err)
		}
		for _, h := range a.Hosts {
			if s := h.Place.String(); !strings.HasPrefix(s, file+" (registry-mirrors)") && !strings.HasPrefix(s, file+" (insecure-registries)") {
				t.Errorf("%s is at %q", describe(h, ""), s)
			}
		}
	}
}

// A rootless engine's file comes first, then Desktop's, the system's and that of the snap.
func TestPlacesOfDaemonJSON(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the places are those of Unix")
	}
	dir := t.TempDir()
	m := Machine{Root: dir, Home: filepath.Join(dir, "home"), Config: filepath.Join(dir, "config")}
	if d := NewDocker(m, ""); len(d.mirrors)+len(d.problems) > 0 {
		t.Errorf("without a file: %v", d)
	}
	for _, place := range []string{"var/snap/docker/current/config/daemon.json", "etc/docker/daemon.json", "home/.docker/daemon.json", "config/docker/daemon.json"} {
		file := write(t, dir, place, `{"registry-mirrors": ["https://a.example"]}`)
		if got := NewDocker(m, "").Lookup("docker.io").Hosts; len(got) != 1 || got[0].File != file {
			t.Errorf("after %s was written: %v", place, got)
		}
	}
}

func TestDockerInfo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a shell script stands in for docker")
	}
	for _, test := range []struct {
		about, script string
		answered      bool
		want          []string
	}{
		{"an engine", `echo '{"InsecureRegistryCIDRs":["::1/128","127.0.0.0/8"],"IndexConfigs":{"docker.io":{"Name":"docker.io","Secure":true},"a.example":{"Name":"a.example","Secure":false}},"Mirrors":["https://m.example/","https://a.example"]}'`, true, []string{"https://m.example/v2", "https://a.example/v2 unverified plain"}},
		{"no engine", "echo null; exit 1", false, nil},
		{"an old client without an engine", "echo null", false, nil},
		{"no JSON", "echo hello", false, nil},
		{"without end", "yes", false, nil},
		{"a child that stays", `sleep 20 & echo '{"Mirrors":["https://m.example"]}'`, false, nil},
	} {
		dir := t.TempDir()
		if err := os.Chmod(write(t, dir, "docker", "#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":/usr/bin:/bin")
		began := time.Now()
		d, answered := DockerInfo(t.Context())
		if got := describeAll(d.Lookup("docker.io").Hosts, ""); answered != test.answered || !slices.Equal(got, test.want) {
			t.Errorf("%s: %t, %q", test.about, answered, got)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s took %v", test.about, took)
		}
		for _, h := range d.mirrors {
			if h.Place.String() != "docker info" || h.File != "" {
				t.Errorf("it is at %q", h.Place)
			}
		}
	}
}

func FuzzDaemonJSON(f *testing.F) {
	f.Add([]byte(`{"registry-mirrors": ["https://a.example/b"], "insecure-registries": ["10.0.0.0/8", "a:1"]}`))
	f.Add([]byte(`{"Mirrors": ["https://a.example/"], "IndexConfigs": {"a": {"Secure": false}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parse := range []func() (Docker, error){
			func() (Docker, error) { return parseDaemon(data, "daemon.json") },
			func() (Docker, error) { return parseInfo(data) },
		} {
			d, err := parse()
			for _, h := range d.Lookup(dockerHub).Hosts {
				if checkHost(t, h); err != nil {
					t.Errorf("hosts and an error: %v", err)
				}
			}
		}
	})
}
