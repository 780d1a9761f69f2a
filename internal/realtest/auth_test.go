package realtest

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/registrytest"
)

func TestARegistryThatWantsALogin(t *testing.T) {
	r := startLockedRegistry(t)
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{3 * mib}})
	r.push(t, "team/app", "1", img)
	reference := r.host + "/team/app:1"

	t.Run("without credentials", func(t *testing.T) {
		got := newHome(t).run(t, reference)
		if got.code != 4 || !strings.Contains(got.stderr, r.host) {
			t.Errorf("it ended with code %d and said %q", got.code, got.stderr)
		}
	})
	t.Run("with a wrong password", func(t *testing.T) {
		h := newHome(t)
		h.logIn(t, r.host, user+":"+password+"s")
		got := h.run(t, reference)
		if got.code != 4 || strings.Contains(got.stdout+got.stderr, password) {
			t.Errorf("it ended with code %d and said %q", got.code, got.stderr)
		}
	})
	t.Run("with docker's configuration", func(t *testing.T) {
		h := newHome(t)
		h.logIn(t, r.host, user+":"+password)
		h.pull(t, "-o", "app.tar", reference)
		h.checkArchive(t, "app.tar", img)
	})
	t.Run("with a credential helper", func(t *testing.T) {
		h := newHome(t)
		h.configureDocker(t, fmt.Sprintf(`{"credHelpers": {%q: "sea"}}`, r.host))
		h.installHelper(t, "sea", fmt.Sprintf(`{"ServerURL": %q, "Username": %q, "Secret": %q}`, r.host, user, password))
		h.pull(t, "-o", "app.tar", reference)
		h.checkArchive(t, "app.tar", img)
	})
}

// TestCredentialsOpenAMirror pulls from a mirror that asks for a login, and one
// that does not.
func TestCredentialsOpenAMirror(t *testing.T) {
	open, locked := startRegistry(t), startLockedRegistry(t)
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{3 * mib}})
	open.push(t, "library/ubuntu", "22.04", img)
	locked.push(t, "library/ubuntu", "22.04", img)
	h := newHome(t)
	h.logIn(t, locked.host, user+":"+password)
	h.pull(t, "-m", locked.url(), "-o", "locked.tar", name)
	h.checkArchive(t, "locked.tar", img)
	h.pull(t, "-m", locked.url(), "-m", open.url(), "-o", "both.tar", name)
	h.checkArchive(t, "both.tar", img)
}

// logIn does what docker login does without a helper.
func (h home) logIn(t *testing.T, host, credentials string) {
	t.Helper()
	h.configureDocker(t, fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte(credentials))))
}

func (h home) configureDocker(t *testing.T, config string) {
	t.Helper()
	write(t, h.settings, "config.json", config)
}

// installHelper puts a credential helper into the PATH that gives one answer.
func (h *home) installHelper(t *testing.T, name, answer string) {
	t.Helper()
	program := write(t, h.settings, "docker-credential-"+name, "#!/bin/sh", "cat >&2", "echo '"+answer+"'")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "PATH="+h.settings+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// checkArchive checks that an archive has the image's blobs.
func (h home) checkArchive(t *testing.T, output string, img registrytest.Image) {
	t.Helper()
	list := run(t, "tar", "-tf", h.path(output))
	for _, blob := range append(img.Layers, img.Config) {
		if !strings.Contains(list, blob.Digest.Encoded()) {
			t.Errorf("%s lacks %s:\n%s", output, blob.Digest, list)
		}
	}
}
