package sources

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
)

func authFile(host, user, password string) string {
	return `{"auths":{"` + host + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + `"}}}`
}

func TestCredentialsAreFoundWhereLoginsPutThem(t *testing.T) {
	docker, runtime, home, explicit := t.TempDir(), t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "auth.json")
	t.Setenv("DOCKER_CONFIG", docker)
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("REGISTRY_AUTH_FILE", explicit)
	t.Setenv("HOME", home)
	dockerFile := filepath.Join(docker, "config.json")
	runtimeFile := filepath.Join(runtime, "containers/auth.json")
	homeFile := filepath.Join(home, ".config/containers/auth.json")

	for _, test := range []struct {
		about, file, text, host, want string
	}{
		{"none", dockerFile, `{}`, "ghcr.io", ""},
		{"an empty file", dockerFile, ``, "ghcr.io", ""},
		{"docker login", dockerFile, authFile("ghcr.io", "u", "p"), "ghcr.io", "u:p"},
		{"docker login to Docker Hub", dockerFile, authFile(dockerHubKey, "u", "p"), "registry-1.docker.io", "u:p"},
		{"with a port", dockerFile, authFile("a.example:5000", "u", "p"), "a.example:5000", "u:p"},
		{"of another port", dockerFile, authFile("a.example:5000", "u", "p"), "a.example", ""},
		{"REGISTRY_AUTH_FILE", explicit, authFile("ghcr.io", "u", "p"), "ghcr.io", "u:p"},
		{"podman login", runtimeFile, authFile("ghcr.io", "u", "p"), "ghcr.io", "u:p"},
		{"podman login to Docker Hub", runtimeFile, authFile("docker.io", "u", "p"), "registry-1.docker.io", "u:p"},
		{"skopeo login", homeFile, authFile("ghcr.io", "u", "p"), "ghcr.io", "u:p"},
	} {
		t.Run(test.about, func(t *testing.T) {
			path := write(t, test.file, test.text)
			defer os.Remove(path)
			cred, err := newCredentials().get(t.Context(), test.host)
			if err != nil {
				t.Fatal(err)
			}
			user, password, _ := strings.Cut(test.want, ":")
			if cred.Username != user || cred.Password != password {
				t.Errorf("got %q, want %q", cred.Username+":"+cred.Password, test.want)
			}
		})
	}
}

func TestAHelperIsAsked(t *testing.T) {
	bin, docker := t.TempDir(), t.TempDir()
	helper := write(t, filepath.Join(bin, "docker-credential-test"), "#!/bin/sh\necho '{\"Username\":\"u\",\"Secret\":\"p\"}'\n")
	if err := os.Chmod(helper, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", docker)
	write(t, filepath.Join(docker, "config.json"), `{"credHelpers":{"a.example":"test","b.example":"absent"}}`)
	creds := newCredentials()
	if cred, err := creds.get(t.Context(), "a.example"); err != nil || cred.Username != "u" || cred.Password != "p" {
		t.Errorf("got %v, %v", cred, err)
	}
	_, err := creds.get(t.Context(), "b.example")
	if err == nil || !strings.Contains(err.Error(), "docker-credential-absent") || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an absent helper: %v", err)
	}
}

func TestABrokenFileIsNamedAndKeepsItsSecrets(t *testing.T) {
	docker := t.TempDir()
	t.Setenv("DOCKER_CONFIG", docker)
	noColon := base64.StdEncoding.EncodeToString([]byte("hunter2"))
	for _, text := range []string{
		`{"auths":`, `{"auths":[]}`, `{"auths":{"a.example":"hunter2"}}`,
		`{"auths":{"a.example":{"auth":"hunter2"}}}`, `{"auths":{"a.example":{"auth":"` + noColon + `"}}}`,
	} {
		path := write(t, filepath.Join(docker, "config.json"), text)
		_, err := newCredentials().get(t.Context(), "a.example")
		if _, ok := errors.AsType[*CredentialError](err); !ok || !strings.Contains(err.Error(), path) || !refused(err) {
			t.Errorf("%s: %v", text, err)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), noColon) {
			t.Errorf("%s: the secret is told: %v", text, err)
		}
	}
}

func TestCredentialsGoToTheirHostAlone(t *testing.T) {
	origin, address := serving(t, imageA)
	origin.Misbehave(registrytest.Basic("u", "p"))
	_, other := serving(t, imageA)
	curious, mirror := serving(t, imageA)
	curious.Misbehave(registrytest.Basic("u", "p"))
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	file := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	write(t, file, authFile(strings.TrimPrefix(address, "http://"), "u", "p"))

	if _, _, err := newSet(t, Config{}, address).Fetch(t.Context(), app, ocispec.Descriptor{}); err != nil {
		t.Errorf("the host itself: %v", err)
	}
	if _, _, err := newSet(t, Config{}, mirror).Fetch(t.Context(), app, ocispec.Descriptor{}); !refused(err) {
		t.Errorf("a mirror that asks for them: %v", err)
	}
	for _, r := range curious.Stats().Log {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the mirror was sent them")
		}
	}

	// A broken file is no concern of hosts that ask for nothing, and makes a
	// refusal of those that do.
	write(t, file, "{")
	if _, _, err := newSet(t, Config{}, other).Fetch(t.Context(), app, ocispec.Descriptor{}); err != nil {
		t.Errorf("with a broken file, an open mirror: %v", err)
	}
	set := newSet(t, Config{}, address)
	b := imageA.Layers[0].Descriptor
	if _, _, _, err := set.Sources()[0].Open(t.Context(), "library/app", b, 0, b.Size); !refused(err) {
		t.Errorf("with a broken file, a blob: %v", err)
	}
	_, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{})
	if !refused(err) || !strings.Contains(err.Error(), file) {
		t.Errorf("with a broken file: %v", err)
	}
}
