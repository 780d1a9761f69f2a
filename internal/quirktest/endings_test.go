package quirktest

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

// serveTLS serves handler, and returns its address and a file with the
// certificate to trust.
func serveTLS(t *testing.T, handler http.Handler) (address, ca string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, ca
}

// TestContentTypesOfManifests pulls from static servers, which send no type for
// files without extension (moby#19526).
func TestContentTypesOfManifests(t *testing.T) {
	t.Parallel()
	rows := map[string]quirk{}
	for _, label := range []string{
		"", "text/html", "text/plain; charset=utf-8", "application/json", "application/octet-stream",
		"application/vnd.docker.distribution.manifest.v1+prettyjws", "no type at all;",
	} {
		rows[label] = quirky(registrytest.ManifestType(label))
	}
	playQuirks(t, rows)
}

// TestRefusalsWithAReason ends soon with what the registry says.
func TestRefusalsWithAReason(t *testing.T) {
	t.Parallel()
	const (
		policy    = `{"errors":[{"code":"PROJECTPOLICYVIOLATION","message":"current image with 3 vulnerabilities cannot be pulled"}]}`
		page      = "<!doctype html><title>403 Forbidden</title><style>p{}</style><p>Not available in your <b>country</b>."
		manifests = registrytest.KindManifest
	)
	rows := map[string]quirk{}
	for what, q := range map[string]quirk{
		"a policy's 412 (harbor#13825, harbor#19983)": quirky(registrytest.JSONError(412, policy)).ends(segpull.ErrPermanent, "412", "PROJECTPOLICYVIOLATION", "3 vulnerabilities"),
		"451 of a legal order":                        quirky(registrytest.JSONError(451, `{"message":"by a legal order"}`)).ends(segpull.ErrPermanent, "451", "by a legal order"),
		"a 400 (registry.k8s.io#333)":                 quirky(registrytest.JSONError(400, `{"detail":"no such thing"}`)).ends(segpull.ErrPermanent, "400", "no such thing"),
		"an embargo's page (docs#10533, Zanjir#1)":    quirky(registrytest.Page(403, page)).ends(segpull.ErrCredentials, "403", "Not available in your country"),
	} {
		rows[what+", blobs"] = q
		q.faults = []registrytest.Fault{q.faults[0].On(manifests)}
		rows[what+", manifests"] = q
	}
	playQuirks(t, rows)
}

// TestTheOtherScheme checks that the error names what to write (regclient#268,
// zarf#4727).
func TestTheOtherScheme(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	secure, _ := serveTLS(t, m.Servers[0].Mirror())
	behind := m.Servers[0].Mirror()
	behind.Misbehave(registrytest.Page(400, "<title>400 The plain HTTP request was sent to HTTPS port</title>"))
	nginx := behind.Start(t)
	for address, write := range map[string]string{
		strings.Replace(m.URLs[0], "http://", "https://", 1): "write " + m.URLs[0],
		strings.Replace(secure, "https://", "http://", 1):    "write " + secure,
		nginx: "write https://",
	} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), soon, errLate)
		_, err := m.PullContext(ctx, t, segpull.Options{Mirrors: []string{address}})
		pulltest.WantError(t, err, segpull.ErrPermanent, write)
		cancel()
	}
}

// TestAProxyThatWantsALogin checks that the error says where to put it (hub-feedback#826,
// spring-boot#47901). The proxy of an http mirror answers in its place.
func TestAProxyThatWantsALogin(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="corp"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	for _, address := range []string{"https://mirror.example", "http://mirror.example"} {
		table := sources.Mirror{URL: address, Proxy: proxy.URL}
		ctx, cancel := context.WithTimeoutCause(t.Context(), soon, errLate)
		_, err := m.PullContext(ctx, t, segpull.Options{Mirrors: []string{"m"}, Config: sources.Config{Mirror: map[string]sources.Mirror{"m": table}}})
		pulltest.WantError(t, err, segpull.ErrPermanent, "407 Proxy Authentication Required", "user:password@", "HTTPS_PROXY")
		cancel()
	}
}
