package sources

import (
	"encoding/base64"
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

	// A broken file is reported, and the host is asked without a login.
	write(t, file, "{")
	if _, _, err := newSet(t, Config{}, other).Fetch(t.Context(), app, ocispec.Descriptor{}); err != nil {
		t.Errorf("with a broken file, an open mirror: %v", err)
	}
	var warned []string
	set, _, err := New(Config{}, NewLogins("", func(message string) { warned = append(warned, message) }), []string{address}, Images{Registry: dockerHub})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{}); !refused(err) {
		t.Errorf("with a broken file: %v", err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], file) {
		t.Errorf("with a broken file, warned %q", warned)
	}
}
