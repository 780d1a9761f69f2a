package sources

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
)

func TestOpenGivesTheRangeAskedFor(t *testing.T) {
	registry, address := serving(t, imageA)
	b := imageA.Layers[0].Descriptor
	source := newSet(t, Config{}, address).Sources()[0]
	body, start, end, err := source.Open(t.Context(), "library/app", b, 100, 300)
	if err != nil || start != 100 || end != 300 {
		t.Fatalf("[%d,%d) %v", start, end, err)
	}
	defer body.Close()
	want := make([]byte, 200)
	if _, err := imageA.Layers[0].ReadAt(want, 100); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}

	registry.Misbehave(registrytest.Status(404))
	if _, _, _, err := source.Open(t.Context(), "library/app", b, 100, 300); !missing(err) {
		t.Errorf("a blob that is not there: %v", err)
	}
	registry.Misbehave(registrytest.Status(403))
	if _, _, _, err := source.Open(t.Context(), "library/app", b, 100, 300); !refused(err) || !strings.Contains(err.Error(), "docker login") {
		t.Errorf("a blob that is refused: %v", err)
	}
}

// Where a mirror redirects to another host, the user has to log in there.
func TestARefusalElsewhereIsReportedAsSuch(t *testing.T) {
	registry, address := serving(t, imageA)
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer storage.Close()
	registry.Misbehave(registrytest.RedirectTo(storage.URL + "/blob"))
	source := newSet(t, Config{}, address).Sources()[0]
	_, _, _, err := source.Open(t.Context(), "library/app", imageA.Layers[0].Descriptor, 0, 100)
	if want := "redirects to that host: use another mirror, or run docker login " + strings.TrimPrefix(storage.URL, "http://"); !refused(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAForeignLayerNeverComesFromAPrivateAddress(t *testing.T) {
	_, address := serving(t, imageA)
	other, elsewhere := serving(t, imageB)
	b := imageB.Layers[0].Descriptor
	b.URLs = []string{elsewhere + "/v2/library/app/blobs/" + b.Digest.String()}
	source := newSet(t, Config{}, address).Sources()[0]
	_, _, _, err := source.Open(t.Context(), "library/app", b, 0, b.Size)
	if err == nil || !strings.Contains(err.Error(), "public") || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
	if n := len(other.Stats().Log); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// asked is a registry that answers nothing and remembers the last request.
func asked(t *testing.T, start func(http.Handler) *httptest.Server) (*httptest.Server, func() *http.Request) {
	requests := make(chan *http.Request, 100)
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/v2/") { // where a challenge might be
			requests <- r
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s, func() *http.Request {
		t.Helper()
		select {
		case r := <-requests:
			return r
		default:
			t.Fatal("nothing was asked")
			return nil
		}
	}
}

func TestASourceAsksAsItsTableSays(t *testing.T) {
	s, last := asked(t, httptest.NewServer)
	proxy, proxied := asked(t, httptest.NewServer)
	yes := true
	for _, test := range []struct {
		about  string
		mirror Mirror
		via    func() *http.Request
		want   string
		header string
	}{
		{"plainly", Mirror{URL: s.URL}, last, "/v2/library/app/manifests/v", ""},
		{"behind a prefix", Mirror{URL: s.URL + "/a/b"}, last, "/v2/a/b/library/app/manifests/v", ""},
		{"below a path", Mirror{URL: s.URL + "/repository/hub/v2/"}, last, "/repository/hub/v2/library/app/manifests/v", ""},
		{"for a registry", Mirror{URL: s.URL + "/<registry>"}, last, "/v2/docker.io/library/app/manifests/v", ""},
		{"in a namespace", Mirror{URL: s.URL, NS: &yes}, last, "/v2/library/app/manifests/v?ns=docker.io", ""},
		{"with headers", Mirror{URL: s.URL, Headers: map[string]string{"x-team": "a"}}, last, "/v2/library/app/manifests/v", "a"},
		{"through a proxy", Mirror{URL: "http://mirror.example", Proxy: proxy.URL}, proxied, "http://mirror.example/v2/library/app/manifests/v", ""},
	} {
		t.Run(test.about, func(t *testing.T) {
			set := newSet(t, Config{Mirror: map[string]Mirror{"m": test.mirror}}, "m")
			if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{}); !missing(err) {
				t.Fatal(err)
			}
			r := test.via()
			if got := r.RequestURI; got != test.want || r.Header.Get("X-Team") != test.header {
				t.Errorf("got  %s, %q\nwant %s, %q", got, r.Header.Get("X-Team"), test.want, test.header)
			}
		})
	}
}

func TestAnInvalidTableIsReported(t *testing.T) {
	noPEM := write(t, filepath.Join(t.TempDir(), "ca.pem"), "hello")
	for _, test := range []struct {
		mirror Mirror
		want   string
	}{
		{Mirror{CA: Paths{"/none/ca.pem"}}, "/none/ca.pem: no such file or directory; correct its ca"},
		{Mirror{CA: Paths{noPEM}}, "no PEM certificate in " + noPEM},
		{Mirror{Proxy: "u:secret@proxy"}, `its proxy is not a URL; write proxy = "http://host:port"`},
		{Mirror{Proxy: "ftp://proxy"}, "its proxy is not a URL"},
		{Mirror{Proxy: "http://proxy:99999"}, "its proxy is not a URL"},
		{Mirror{TLSVerify: new(bool), CA: Paths{noPEM}}, "its ca has no effect with tls-verify = false; remove one of them"},
		{Mirror{TLSVerify: new(bool), URL: "http://a.example"}, "tls-verify has no effect on a mirror on http; remove it"},
		{Mirror{Headers: map[string]string{"range": "bytes=0-1"}}, "segpull sets the header range itself"},
		{Mirror{Headers: map[string]string{"A B": "x"}}, `"A B" is not a valid header name; correct its headers`},
		{Mirror{Headers: map[string]string{"": "x"}}, `"" is not a valid header name`},
		{Mirror{Headers: map[string]string{"X-Team": "secret\n"}}, "the value of header X-Team contains control characters; correct its headers"},
	} {
		test.mirror.URL = cmp.Or(test.mirror.URL, "https://a.example")
		cfg := Config{Mirror: map[string]Mirror{"m": test.mirror}}
		set, reported, err := New(cfg, NewLogins("", nil), []string{"m", "https://b.example"}, Images{Registry: dockerHub})
		if err != nil || len(reported) != 1 || !strings.Contains(reported[0].Error(), test.want) || strings.Contains(reported[0].Error(), "secret") {
			t.Errorf("reported %q, %v; want %q", reported, err, test.want)
			continue
		}
		set.Close()
	}
}

func TestCertificatesOfAPrivateCAAreTrusted(t *testing.T) {
	s, last := asked(t, httptest.NewTLSServer)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	file := write(t, filepath.Join(t.TempDir(), "ca.pem"), ca)
	fetch := func(cfg Config) error {
		_, _, err := newSet(t, cfg, "m").Fetch(t.Context(), app, ocispec.Descriptor{})
		return err
	}
	if err := fetch(Config{Mirror: map[string]Mirror{"m": {URL: s.URL}}}); err == nil || !strings.Contains(err.Error(), "give its certificate with ca") {
		t.Errorf("without the ca: %v", err)
	}
	if err := fetch(Config{Mirror: map[string]Mirror{"m": {URL: s.URL, CA: Paths{file}}}}); !missing(err) {
		t.Errorf("with the ca: %v", err)
	}
	last()

	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, ".config/containers/certs.d", strings.TrimPrefix(s.URL, "https://"))
	t.Cleanup(func() { os.RemoveAll(dir) }) // a later server may get the same port
	write(t, filepath.Join(dir, "ca.crt"), ca)
	if err := fetch(Config{Mirror: map[string]Mirror{"m": {URL: s.URL}}}); !missing(err) {
		t.Errorf("with the ca in certs.d: %v", err)
	}
	last()
}
