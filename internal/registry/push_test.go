package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
)

// pushing returns a client that may push.
func pushing(t *testing.T, url string, change ...func(*Config)) *Client {
	return client(t, url, append([]func(*Config){func(c *Config) { c.Push, c.Login = true, login }}, change...)...)
}

func openContent() io.Reader { return bytes.NewReader(content) }

// put pushes the content and a manifest of it.
func put(c *Client, repository, from string) (mounted bool, err error) {
	mounted, err = c.Upload(context.Background(), repository, from, contentDescriptor(), openContent)
	if err != nil {
		return mounted, err
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,"size":%d}}`, contentDescriptor().Digest, len(content))
	return mounted, c.PutManifest(context.Background(), repository, "1", ocispec.MediaTypeImageManifest, manifest)
}

func TestPush(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]registrytest.Fault{
		"open":   registrytest.All(),
		"basic":  registrytest.Basic("user", "secret-password"),
		"bearer": registrytest.Bearer(registrytest.Auth{Username: "user", Password: "secret-password"}),
		"busy":   registrytest.Status(http.StatusTooManyRequests).On(registrytest.KindUpload, registrytest.KindManifest).Times(2),
	} {
		s := registrytest.New()
		s.Misbehave(fault)
		c := pushing(t, s.Start(t))
		for _, want := range []bool{false, true} {
			has, err := c.Has(t.Context(), "team/app", contentDescriptor().Digest)
			if err != nil || has != want {
				t.Errorf("%s: it has the blob: %v, %v; want %v", name, has, err, want)
			}
			if mounted, err := put(c, "team/app", ""); mounted || err != nil {
				t.Errorf("%s: mounted %v, %v", name, mounted, err)
			}
		}
		if mounted, err := put(c, "team/copy", "team/app"); !mounted || err != nil {
			t.Errorf("%s: mounted %v, %v", name, mounted, err)
		}
		if mounted, err := put(c, "team/other", "team/nothing"); mounted || err != nil {
			t.Errorf("%s: without the blob, mounted %v, %v", name, mounted, err)
		}
		for _, repository := range []string{"team/app", "team/copy", "team/other"} {
			if _, body, err := c.Manifest(t.Context(), repository, "1"); err != nil || !strings.Contains(string(body), "schemaVersion") {
				t.Errorf("%s: %s has %q, %v", name, repository, body, err)
			}
		}
	}
}

func TestMount(t *testing.T) {
	t.Parallel()
	s := registrytest.New()
	c := pushing(t, s.Start(t))
	if _, err := put(c, "team/app", ""); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{"team/app": true, "team/nothing": false} {
		if mounted, err := c.Mount(t.Context(), "team/copy-of-"+from, from, contentDescriptor().Digest); mounted != want || err != nil {
			t.Errorf("from %s: mounted %v, %v", from, mounted, err)
		}
	}
	if log := s.Stats().Log; s.Stats().Statuses[http.StatusNoContent] != 1 {
		t.Errorf("the upload was not given up: %+v", log[len(log)-1])
	}
	s.Misbehave(registrytest.Status(http.StatusForbidden).On(registrytest.KindUpload))
	if mounted, err := c.Mount(t.Context(), "team/other", "team/app", contentDescriptor().Digest); mounted || err != nil {
		t.Errorf("where that is refused: mounted %v, %v", mounted, err)
	}
	s.Misbehave(registrytest.Status(http.StatusInternalServerError).On(registrytest.KindUpload))
	if _, err := c.Mount(t.Context(), "team/other", "team/app", contentDescriptor().Digest); err == nil {
		t.Error("a failure is no answer")
	}
}

// A registry that lets the login pull nothing from the other repository refuses the mount,
// and takes the blob.
func TestARefusedMountIsAnUpload(t *testing.T) {
	s := registrytest.New()
	s.Misbehave(registrytest.Status(http.StatusForbidden).On(registrytest.KindUpload).When(func(r *http.Request) bool { return r.URL.Query().Has("from") }))
	if mounted, err := put(pushing(t, s.Start(t)), "team/app", "secret/app"); mounted || err != nil {
		t.Errorf("mounted %v, %v", mounted, err)
	}
}

func TestARefusedPush(t *testing.T) {
	s := registrytest.New()
	s.Misbehave(registrytest.Basic("user", "other"))
	_, err := put(pushing(t, s.Start(t)), "team/app", "")
	if e := asError(t, err); !e.Refused() || e.Login == "" || strings.Contains(e.Error(), "secret-password") {
		t.Errorf("the error is %v", e)
	}
}

// A token may expire while a blob is sent: the blob is sent again with a new one.
func TestAnUploadWithAnExpiredToken(t *testing.T) {
	b := newBearer(t, plainBearer)
	var got [][]byte
	server, _ := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if got = append(got, body); len(got) == 1 {
			w.Header().Set("WWW-Authenticate", plainBearer(b.tokens.URL)[0])
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	if _, err := pushing(t, server.URL).Upload(t.Context(), "team/app", "", contentDescriptor(), openContent); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !bytes.Equal(got[1], content) {
		t.Errorf("it got %d bodies, the last with %d bytes", len(got), len(got[len(got)-1]))
	}
}

// location answers to POST with a Location, and takes what is put there.
func location(to func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", to(r))
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if body, _ := io.ReadAll(r.Body); digest.FromBytes(body) != digest.Digest(r.URL.Query().Get("digest")) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

func TestWhereAnUploadGoes(t *testing.T) {
	storage, stored := serve(t, false, location(nil))
	for name, to := range map[string]func(*http.Request) string{
		"relative":                        func(*http.Request) string { return "/put/here?_state=a%2Fb" },
		"absolute":                        func(r *http.Request) string { return "http://" + r.Host + "/put/here" },
		"another host":                    func(*http.Request) string { return storage.URL + "/put?signature=s" },
		"http, behind a proxy with https": func(r *http.Request) string { return "http://" + r.Host + "/put" },
	} {
		server, _ := serve(t, strings.Contains(name, "https"), location(to))
		trust := func(c *Config) {
			if server.Certificate() != nil {
				c.TLS = roots(server)
			}
		}
		if _, err := pushing(t, server.URL, trust).Upload(t.Context(), "team/app", "", contentDescriptor(), openContent); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, r := range stored.requests() {
		if r.Header.Get("Authorization") != "" || r.URL.Query().Get("signature") != "s" {
			t.Errorf("the storage got %s with %v", r.URL, r.Header)
		}
	}
	for name, to := range map[string]string{"http from https": storage.URL, "none": "", "another scheme": "ftp://a.example/"} {
		server, _ := serve(t, true, location(func(*http.Request) string { return to }))
		u, _ := url.Parse(server.URL)
		c := pushing(t, "https://localhost:"+u.Port(), func(c *Config) { c.TLS = roots(server); c.TLS.ServerName = "example.com" })
		_, err := c.Upload(t.Context(), "team/app", "", contentDescriptor(), openContent)
		if e := asError(t, err); !e.Permanent() {
			t.Errorf("%s: %v", name, e)
		}
	}
}
