//go:build unix

package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// install makes a PATH with fake programs: shell scripts by their names.
func install(t *testing.T, programs map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	if len(programs) == 0 {
		t.Setenv("PATH", dir)
	}
	return dir
}

const (
	answers = `[ "$1" = version ] || { echo "$PWD: $*" >>"$0.log"; cat >>"$0.in"; }`
	broken  = `echo "Cannot connect to the daemon" >&2; echo "is it running?" >&2; exit 1`
)

var app = Image{
	Name:       "docker.io/library/app:1",
	Repository: "docker.io/library/app",
	Digest:     "sha256:feed",
	ID:         "sha256:beef",
	Platform:   "linux/arm64",
}

func nameless(img Image) Image {
	img.Name = ""
	return img
}

func read(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheFirstEngineThatAnswersIsTaken(t *testing.T) {
	for want, programs := range map[string]map[string]string{
		"docker":     {"docker": answers, "nerdctl": answers, "podman": answers, "ctr": answers},
		"nerdctl":    {"docker": broken, "nerdctl": answers, "podman": answers, "ctr": answers},
		"podman":     {"docker": broken, "nerdctl": broken, "podman": answers, "ctr": answers},
		"containerd": {"docker": broken, "nerdctl": broken, "podman": broken, "ctr": answers},
	} {
		install(t, programs)
		if e, err := Find(t.Context(), Auto); err != nil || e.Name() != want {
			t.Errorf("it took %q, %v, want %s", e.Name(), err, want)
		}
	}
	install(t, map[string]string{"docker": broken, "nerdctl": broken, "podman": broken, "ctr": broken})
	if _, err := Find(t.Context(), Auto); err == nil || !strings.Contains(err.Error(), "no container engine answers") {
		t.Errorf("none answers: %v", err)
	}
}

func TestAnEngineIsFoundByItsName(t *testing.T) {
	install(t, map[string]string{"docker": answers, "podman": broken})
	if e, err := Find(t.Context(), "docker"); err != nil || e.Name() != "docker" {
		t.Errorf("docker: %v", err)
	}
	for name, want := range map[string]string{
		"podman": "podman does not answer: podman version: Cannot connect to the daemon; is it running? (exit status 1)",
		"runc":   `engine "runc" is unknown`,
	} {
		if _, err := Find(t.Context(), name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	install(t, nil)
	for name, want := range map[string]string{
		"containerd": "containerd: the program ctr is not in the PATH: install or start it, or choose another engine with --load",
		Auto: "no container engine answers (docker: the program docker is not in the PATH\nnerdctl: the program nerdctl is not in the PATH\n" +
			"podman: the program podman is not in the PATH\ncontainerd: the program ctr is not in the PATH): start one, or write a file with --output",
	} {
		if _, err := Find(t.Context(), name); err == nil || err.Error() != want {
			t.Errorf("%s is missing: %v", name, err)
		}
	}
}

func TestEachEngineGetsItsCommand(t *testing.T) {
	for _, c := range []struct {
		engine, program string
		image           Image
		want, named     string
	}{
		{"docker", "docker", app, "load", app.Name},
		{"docker", "docker", nameless(app), "load", app.ID},
		{"nerdctl", "nerdctl", app, "load --platform linux/arm64", app.Name},
		{"containerd", "ctr", app, "images import --platform linux/arm64 -", app.Name},
		{"containerd", "ctr", nameless(app), "images import --platform linux/arm64 --digests --base-name docker.io/library/app -", "docker.io/library/app@sha256:feed"},
	} {
		dir := install(t, map[string]string{c.program: answers})
		e, err := Find(t.Context(), c.engine)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Load(t.Context(), c.image, func(w io.Writer) error {
			_, err := io.WriteString(w, "the archive")
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", c.engine, err)
		}
		path := filepath.Join(dir, c.program)
		if got := read(t, path+".log"); !strings.HasSuffix(got, ": "+c.want+"\n") {
			t.Errorf("%s got the arguments %q, want %q", c.engine, got, c.want)
		}
		if got := read(t, path+".in"); got != "the archive" {
			t.Errorf("%s read %q", c.engine, got)
		}
		if got := e.NameOf(c.image); got != c.named {
			t.Errorf("%s has the name %s, want %s", c.engine, got, c.named)
		}
	}
}

func TestPodmanReadsADirectoryAndNamesTheImage(t *testing.T) {
	for _, c := range []struct {
		image Image
		want  string
	}{
		{app, "/parts: pull --quiet oci:image\n: tag beef docker.io/library/app:1\n: untag beef localhost/image:latest\n"},
		{nameless(app), "/parts: pull --quiet oci:image\n: untag beef localhost/image:latest\n"},
	} {
		dir := install(t, map[string]string{"podman": answers})
		parts := filepath.Join(dir, "parts")
		if err := os.Mkdir(parts, 0o700); err != nil {
			t.Fatal(err)
		}
		e, err := Find(t.Context(), "podman")
		if err == nil {
			err = e.LoadDir(t.Context(), c.image, filepath.Join(parts, "image"))
		}
		if err != nil || !e.ReadsDir() {
			t.Fatal(err)
		}
		here, _ := os.Getwd()
		got := strings.ReplaceAll(strings.ReplaceAll(read(t, filepath.Join(dir, "podman.log")), dir, ""), here, "")
		if got != c.want {
			t.Errorf("podman got\n%s, want\n%s", got, c.want)
		}
	}
}

// endless writes until that fails.
func endless(w io.Writer) error {
	for {
		if _, err := w.Write(make([]byte, 32<<10)); err != nil {
			return err
		}
	}
}

func TestTheErrorOfAnEngineIsShown(t *testing.T) {
	install(t, map[string]string{"docker": `[ "$1" = version ] && exit; head -c 100 >/dev/null; echo "no space left on device" >&2; exit 1`})
	e, err := Find(t.Context(), "docker")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Load(t.Context(), app, endless); err == nil || err.Error() != "docker load: no space left on device (exit status 1)" {
		t.Errorf("the error is %v", err)
	}
}

// An engine that got a cut-off archive would not know that it is one.
func TestAnEngineWhoseInputFailsIsEnded(t *testing.T) {
	dir := install(t, map[string]string{"docker": `[ "$1" = version ] && exit; cat >/dev/null; echo loaded >"$0.done"`})
	e, err := Find(t.Context(), "docker")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is broken")
	err = e.Load(t.Context(), app, func(w io.Writer) error {
		_, _ = io.WriteString(w, "the beginning")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "docker.done")); err == nil {
		t.Error("the engine got the end of its input")
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	install(t, map[string]string{"docker": `[ "$1" = version ] && exit; trap '' TERM; while :; do sleep 0.01; done`})
	e, err := Find(t.Context(), "docker")
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
	if err := e.Load(ctx, app, endless); !errors.Is(err, enough) {
		t.Errorf("the error is %v", err)
	}
}
