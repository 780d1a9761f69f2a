package sources

import (
	"crypto/tls"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestAServerAsksOnlyWhomTheUserNamed(t *testing.T) {
	configured := Config{Mirrors: []string{"hub", "all", "some", "ghcr.io"}, Mirror: map[string]Mirror{
		"hub":  {URL: "https://hub.example"},
		"all":  {URL: "https://all.example", Registries: []string{"*"}},
		"some": {URL: "https://some.example", Registries: []string{"quay.io"}},
	}}
	for _, test := range []struct {
		about    string
		server   Server
		registry string
		want     string
	}{
		{"nothing is configured", Server{}, "docker.io", "docker.io"},
		{"the same by its other name", Server{}, "registry-1.docker.io", "docker.io"},
		{"another registry", Server{}, "ghcr.io", ""},
		{"a URL serves all", Server{Mirrors: []string{"http://10.0.0.1:5000"}}, "evil.example", "10.0.0.1:5000"},
		{"a registry serves itself", Server{Mirrors: []string{"ghcr.io", "docker.io"}}, "ghcr.io", "ghcr.io"},
		{"and nobody else", Server{Mirrors: []string{"ghcr.io"}}, "quay.io", ""},
		{"configured for Docker Hub", Server{Config: configured}, "docker.io", "hub all docker.io"},
		{"configured, with the registry", Server{Config: configured}, "quay.io", "all some quay.io"},
		{"configured as a registry", Server{Config: configured}, "ghcr.io", "all ghcr.io"},
		{"configured for all: not the registry itself", Server{Config: configured}, "10.0.0.1:80", "all"},
		{"a preset", Server{Config: Config{Mirrors: []string{"daocloud"}}}, "ghcr.io", "daocloud ghcr.io"},
		{"no host", Server{Mirrors: []string{"http://10.0.0.1:5000"}}, "a/../b", ""},
	} {
		var got []string
		ref := Images{Registry: test.registry}
		if test.server.Serves(test.registry) {
			set, _, err := test.server.New(NewLogins("none", nil), ref)
			if err != nil {
				t.Fatal(err)
			}
			got = sourceNames(set)
		} else if _, _, err := test.server.New(NewLogins("none", nil), ref); err == nil {
			t.Errorf("%s: %s is not served, and has sources", test.about, test.registry)
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: %s is asked of %q, want %q", test.about, test.registry, got, test.want)
		}
	}
}

// sourceNames returns the names of a set's sources, and closes it.
func sourceNames(set *Set) (names []string) {
	for _, source := range set.Sources() {
		names = append(names, source.Name())
	}
	set.Close()
	return names
}

func TestAServerUsesCredentialsOnlyWherePrivateIsSet(t *testing.T) {
	logins := NewLogins("none", nil)
	logins.PrivateOnly = true
	for private, want := range map[bool]int{false: 1, true: 2} {
		cfg := Config{Mirror: map[string]Mirror{"m": {URL: "https://a.example", Private: private, Headers: map[string]string{"authorization": "secret"}}}}
		if (Server{Config: cfg}).Private() != private {
			t.Errorf("Private() is not %t", private)
		}
		set, reported, err := New(cfg, logins, []string{"m", "docker.io"}, Images{Registry: dockerHub})
		if err != nil {
			t.Fatal(err)
		}
		if set.Close(); len(set.Sources()) != want || private == slices.ContainsFunc(reported, func(err error) bool { return strings.Contains(err.Error(), "private = true") }) {
			t.Errorf("private = %t: %d sources, %v", private, len(set.Sources()), reported)
		}
	}
}

func TestClaimAndSize(t *testing.T) {
	img := registrytest.NewImage(registrytest.ImageOptions{})
	first := registrytest.New()
	first.Push("a/b", "1", img)
	second := first.Mirror()
	first.Misbehave(registrytest.Status(404).On())
	second.Misbehave(registrytest.IgnoreRange())
	set := newSet(t, Config{}, first.Start(t), second.Start(t))
	ref := image.Reference{Registry: "docker.io", Repository: "a/b", Tag: "1"}
	if d, source, err := set.Claim(t.Context(), ref); err != nil || d != img.Manifest.Digest || source != set.Sources()[1].Name() {
		t.Errorf("%s of %s, %v", d, source, err)
	}
	ref.Digest = img.Layers[0].Digest
	for range 2 {
		if size, err := set.Size(t.Context(), ref); err != nil || size != img.Layers[0].Size {
			t.Errorf("size %d, %v", size, err)
		}
		second.Misbehave()
	}
	second.Misbehave(registrytest.HarborProxy())
	if size, err := set.Size(t.Context(), ref); err != nil || size != img.Layers[0].Size {
		t.Errorf("of a proxy: size %d, %v", size, err)
	}
	second.Misbehave(registrytest.Status(404))
	if _, err := set.Size(t.Context(), ref); err == nil || !missing(err) {
		t.Errorf("where none has it: %v", err)
	}
}

// The client certificates of certs.d are the user's too.
func TestAServerUsesNoClientCertificate(t *testing.T) {
	until := time.Now().Add(time.Hour)
	server, client := newIdentity(t, until), newIdentity(t, until)
	at := servingTLS(t, server, &client, tls.VersionTLS13)
	host := certsDirectory(t, at)
	write(t, filepath.Join(host, "ca.crt"), server.cert)
	write(t, filepath.Join(host, "client.cert"), client.cert)
	write(t, filepath.Join(host, "client.key"), client.key)
	for _, private := range []bool{true, false} {
		logins := NewLogins("none", nil)
		logins.PrivateOnly = true
		set, _, err := New(Config{Mirror: map[string]Mirror{"m": {URL: at, Private: private}}}, logins, []string{"m"}, Images{Registry: dockerHub})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{}); (err == nil) != private {
			t.Errorf("private = %t: %v", private, err)
		}
		set.Close()
	}
}
