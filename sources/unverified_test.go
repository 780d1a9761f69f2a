package sources

import (
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
)

// selfSigned serves imageA as [mirror.m], with a certificate that no client
// trusts.
func selfSigned(t *testing.T, faults ...registrytest.Fault) (*registrytest.Server, Mirror) {
	t.Helper()
	registry := registrytest.New()
	registry.Push("library/app", "v", imageA)
	registry.Misbehave(faults...)
	s := httptest.NewUnstartedServer(registry)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
	s.StartTLS()
	t.Cleanup(s.Close)
	return registry, Mirror{URL: s.URL, TLSVerify: new(bool)}
}

// unverified returns the sources of [mirror.m], and the warning.
func unverified(t *testing.T, m Mirror) (*Set, string) {
	t.Helper()
	set, reported, err := New(Config{Mirror: map[string]Mirror{"m": m}}, NewLogins("", nil), []string{"m"}, Images{Registry: dockerHub})
	if err != nil || len(reported) != 1 {
		t.Fatalf("reported %q, %v", reported, err)
	}
	t.Cleanup(set.Close)
	return set, reported[0].Error()
}

func TestACertificateIsNotCheckedByNameAndWithAWarning(t *testing.T) {
	registry, m := selfSigned(t)
	for _, test := range []struct {
		about string
		tags  *bool
		warns string
	}{
		{"by default it is not trusted for tags", nil, "mirror m: segpull does not check its certificate, so anyone on the network path can answer for it, and it is asked by digest only; give its certificate with ca"},
		{"nor by choice", new(bool), "it is asked by digest only"},
		{"but by choice it is", newTrue(), "also for tags"},
	} {
		t.Run(test.about, func(t *testing.T) {
			m := m
			m.Tags = test.tags
			set, warning := unverified(t, m)
			if !strings.Contains(warning, test.warns) {
				t.Errorf("warned: %s", warning)
			}
			_, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{})
			if trusted := test.tags != nil && *test.tags; trusted != (err == nil) {
				t.Errorf("by tag: %v", err)
			}
			if _, _, err := set.Fetch(t.Context(), app, imageA.Manifest.Descriptor); err != nil {
				t.Errorf("by digest: %v", err)
			}
			body, _, _, err := set.Sources()[0].Open(t.Context(), "library/app", imageA.Layers[0].Descriptor, 0, 100)
			if err != nil {
				t.Fatalf("a blob: %v", err)
			}
			body.Close()
		})
	}

	served := len(registry.Stats().Log)
	m.TLSVerify = nil
	set := newSet(t, Config{Mirror: map[string]Mirror{"m": m}}, "m")
	_, _, err := set.Fetch(t.Context(), app, imageA.Manifest.Descriptor)
	if err == nil || !strings.Contains(err.Error(), "unknown authority") || !strings.Contains(err.Error(), "give its certificate with ca") {
		t.Errorf("without tls-verify = false: %v", err)
	}
	if n := len(registry.Stats().Log) - served; n > 0 {
		t.Errorf("without tls-verify = false it was asked %d times", n)
	}
}

func newTrue() *bool {
	yes := true
	return &yes
}

func TestHostsBehindAnUncheckedOneAreChecked(t *testing.T) {
	cdn, elsewhere := selfSigned(t)
	_, m := selfSigned(t, registrytest.RedirectTo(elsewhere.URL+"/blob"))
	set, _ := unverified(t, m)
	_, _, _, err := set.Sources()[0].Open(t.Context(), "library/app", imageA.Layers[0].Descriptor, 0, 100)
	if err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v", err)
	}
	if n := len(cdn.Stats().Log); n > 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

func TestAnUncheckedHostGetsNoCredentials(t *testing.T) {
	registry, m := selfSigned(t, registrytest.Basic("jo", "correct-horse"))
	host := strings.TrimPrefix(m.URL, "https://")
	fetch := func() error {
		set, _ := unverified(t, m)
		_, _, err := set.Fetch(t.Context(), app, imageA.Manifest.Descriptor)
		return err
	}
	if err := fetch(); !refused(err) || !strings.Contains(err.Error(), "run docker login") {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	secret := base64.StdEncoding.EncodeToString([]byte("jo:correct-horse"))
	write(t, filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), `{"auths":{"`+host+`":{"auth":"`+secret+`"}}}`)
	if err := fetch(); !refused(err) || !strings.Contains(err.Error(), "with tls-verify = false; give the host's certificate with ca") {
		t.Errorf("with credentials: %v", err)
	}
	for _, r := range registry.Stats().Log {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("it was sent %q", r.Header.Get("Authorization"))
		}
	}
}

// A redirect to the mirror itself may spell its host differently.
func TestAnUncheckedHostGetsNoCredentialsByAnotherSpelling(t *testing.T) {
	var authorized bool
	mirror := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorized = authorized || r.Header.Get("Authorization") != ""
		if r.Host == "mirror.example" {
			http.Redirect(w, r, "https://MIRROR.example:443"+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer mirror.Close()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	write(t, filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), authFile("mirror.example", "jo", "correct-horse"))
	set, _ := unverified(t, Mirror{URL: "https://mirror.example", TLSVerify: new(bool), Proxy: tunnel(t, mirror.Listener.Addr().String())})
	_, _, err := set.Fetch(t.Context(), app, imageA.Manifest.Descriptor)
	if err == nil || !strings.Contains(err.Error(), "segpull does not send the login") || authorized {
		t.Errorf("got %v; credentials were sent: %v", err, authorized)
	}
}

// tunnel is the URL of a proxy that connects to address, whatever it is asked.
func tunnel(t *testing.T, address string) string {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		far, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			defer far.Close()
			_, _ = io.Copy(far, buffered)
		}()
		go func() {
			defer near.Close()
			_, _ = io.Copy(near, far)
		}()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestAnUncheckedHostIsNotAskedThroughAnUncheckedProxy(t *testing.T) {
	proxy := httptest.NewTLSServer(http.NotFoundHandler())
	defer proxy.Close()
	_, m := selfSigned(t)
	m.Proxy = proxy.URL
	_, _, err := New(Config{Mirror: map[string]Mirror{"m": m}}, NewLogins("", nil), []string{"m"}, Images{Registry: dockerHub})
	if err == nil || !strings.Contains(err.Error(), "turn off the check of its https proxy") {
		t.Errorf("got %v", err)
	}
}
