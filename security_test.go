package segpull_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

// login writes Docker's configuration file with a password for one host.
func login(t *testing.T, host, user, password string) {
	t.Helper()
	dir := t.TempDir()
	secret := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, secret)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

func TestCredentialsGoToTheirHostAlone(t *testing.T) {
	img := pulltest.ImageOf(1, mib)
	m := pulltest.Serve(t, 2, img)
	cdn := m.Servers[0].Mirror()
	own, other := m.Servers[0], m.Servers[1]
	own.Misbehave(registrytest.SignedRedirect(cdn.Start(t), time.Minute), registrytest.Basic("jo", "correct-horse"))
	for _, s := range []*registrytest.Server{own, other, cdn} {
		s.Throttle(mib)
	}
	// It requires credentials now and then, like a mirror that wants to steal them.
	other.Misbehave(registrytest.Basic("jo", "anything").Sometimes(0.3))
	login(t, m.Name(0), "jo", "correct-horse")
	m.MustPull(t, segpull.Options{
		SegmentSize: 128 * kib,
		Config:      sources.Config{Mirror: map[string]sources.Mirror{"own": {URL: m.URLs[0], Headers: map[string]string{"X-Key": "battery-staple"}}}},
		Mirrors:     []string{"own", m.URLs[1]},
	})
	for _, s := range []*registrytest.Server{other, cdn} {
		if len(s.Stats().Log) == 0 {
			t.Error("one of the others was not asked")
		}
		for _, r := range s.Stats().Log {
			if r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "" {
				t.Errorf("%s of another host was sent %v", r.Path, r.Header)
			}
		}
	}
	authorized := false
	for _, r := range own.Stats().Log {
		authorized = authorized || r.Header.Get("Authorization") != "" && r.Header.Get("X-Key") == "battery-staple"
	}
	if !authorized {
		t.Error("the host itself was not sent them")
	}
}

// TestAnUncheckedCertificateIsWarnedOfOnEveryRun pulls from a mirror with a certificate
// that no client trusts: by default the pull fails; with tls-verify = false in the
// mirror's table it warns each time.
func TestAnUncheckedCertificateIsWarnedOfOnEveryRun(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 1, img)
	private := m.Servers[0].Mirror()
	s := httptest.NewUnstartedServer(private)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
	s.StartTLS()
	defer s.Close()
	out := filepath.Join(t.TempDir(), "app.tar")
	name := "registry.example/" + repo + "@" + img.Manifest.Digest.String()
	table := sources.Mirror{URL: s.URL}
	opts := segpull.Options{Output: out, Mirrors: []string{"private"}, Config: sources.Config{Mirror: map[string]sources.Mirror{"private": table}}}
	_, err := m.Pull(t, opts, name)
	pulltest.WantError(t, err, segpull.ErrPermanent, "unknown authority", "give its certificate with ca")
	if n := len(private.Stats().Log); n > 0 {
		t.Errorf("it was asked %d times", n)
	}

	table.TLSVerify = new(bool)
	opts.Config.Mirror["private"] = table
	for range 2 {
		rec := &pulltest.Recorder{}
		opts.Observer = rec
		if _, err := m.Pull(t, opts, name); err != nil {
			t.Fatal(err)
		}
		pulltest.CheckOCI(t, pulltest.Contents(t, out), img)
		if said := rec.Warnings(); strings.Count(said, "mirror private: segpull does not check its certificate") != 1 {
			t.Errorf("warned of %q", said)
		}
	}
}

func TestSecretsAreWrittenNowhere(t *testing.T) {
	img := pulltest.ImageOf(1, mib)
	m := pulltest.Serve(t, 1, img)
	cdn := m.Servers[0].Mirror()
	cdn.Throttle(mib)
	cdn.Misbehave(registrytest.Status(500).Every(2), registrytest.CutAfter(100*kib))
	m.Servers[0].Misbehave(
		registrytest.SignedRedirect(cdn.Start(t), 300*time.Millisecond),
		registrytest.Bearer(registrytest.Auth{Username: "jo", Password: "correct-horse", Lifetime: 300 * time.Millisecond}),
	)
	login(t, m.Name(0), "jo", "correct-horse")
	dir := t.TempDir()
	ctx, rec, _ := pulltest.CancelAt(400 * kib)
	_, err := m.PullContext(ctx, t, segpull.Options{Observer: rec, Output: filepath.Join(dir, "app.tar"), SegmentSize: 128 * kib})
	if err == nil || len(pulltest.EventsOf[segpull.Trouble](rec)) == 0 {
		t.Fatalf("ended with %v after %d troubles", err, len(pulltest.EventsOf[segpull.Trouble](rec)))
	}
	said := fmt.Sprint(err)
	for _, e := range rec.Events {
		said += fmt.Sprintf("\n%+v", e)
	}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "part" {
			return err
		}
		said += "\n" + string(pulltest.ReadFile(t, name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"correct-horse", base64.StdEncoding.EncodeToString([]byte("jo:correct-horse")), "Bearer "}
	for _, s := range []*registrytest.Server{m.Servers[0], cdn} {
		for _, r := range s.Stats().Log {
			if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
				secrets = append(secrets, token)
			}
			if r.Kind == registrytest.KindCDN && r.Query != "" {
				secrets = append(secrets, r.Query)
			}
		}
	}
	if len(secrets) < 6 {
		t.Fatalf("only these secrets were used: %q", secrets)
	}
	for _, secret := range secrets {
		if at := strings.Index(said, secret); at >= 0 {
			t.Errorf("%q is in %q", secret, said[max(0, at-100):at+len(secret)])
		}
	}
}

func TestPartFilesAreForTheUserOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are those of the directory's ACL")
	}
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, mib))
	m.Servers[0].Throttle(mib)
	out := filepath.Join(t.TempDir(), "app.tar")
	ctx, rec, _ := pulltest.CancelAt(100 * kib)
	if _, err := m.PullContext(ctx, t, segpull.Options{Output: out, Observer: rec}); err == nil {
		t.Fatal("ended well")
	}
	err := filepath.WalkDir(out+".segpull", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
