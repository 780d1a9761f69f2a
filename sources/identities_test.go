package sources

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registry"
	"github.com/segpull/segpull/internal/registrytest"
)

// identity is a certificate that signs itself, with its key.
type identity struct {
	tls.Certificate
	cert, key string // PEM
}

func newIdentity(t *testing.T, until time.Time) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := identity{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}
	if id.Certificate, err = tls.X509KeyPair([]byte(id.cert), []byte(id.key)); err != nil {
		t.Fatal(err)
	}
	return id
}

// servingTLS serves imageA as id says. Where client is one, it is the
// certificate that clients have to present.
func servingTLS(t *testing.T, id identity, client *identity, version uint16, faults ...registrytest.Fault) string {
	t.Helper()
	registry := registrytest.New()
	registry.Push("library/app", "v", imageA)
	registry.Misbehave(faults...)
	s := httptest.NewUnstartedServer(registry)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
	s.TLS = &tls.Config{Certificates: []tls.Certificate{id.Certificate}, MinVersion: tls.VersionTLS12, MaxVersion: version}
	if client != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		s.TLS.ClientCAs.AddCert(client.Leaf)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// fetchFrom fetches the manifest of app from the mirror of a table.
func fetchFrom(t *testing.T, m Mirror) error {
	t.Helper()
	_, _, err := newSet(t, Config{Mirror: map[string]Mirror{"m": m}}, "m").Fetch(t.Context(), app, ocispec.Descriptor{})
	return err
}

// TestClientCertificates are those of the mirror's table, or of the directories
// of docker and podman (moby#35534, for-linux#1031).
func TestClientCertificates(t *testing.T) {
	until := time.Now().Add(time.Hour)
	server, client := newIdentity(t, until), newIdentity(t, until)
	dir := t.TempDir()
	ca := write(t, filepath.Join(dir, "ca.pem"), server.cert)
	cert, key := write(t, filepath.Join(dir, "c.pem"), client.cert), write(t, filepath.Join(dir, "k.pem"), client.key)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		at := servingTLS(t, server, &client, version)
		err := fetchFrom(t, Mirror{URL: at, CA: Paths{ca}})
		if !permanent(err) || !strings.Contains(err.Error(), "wants a client certificate, set client-cert and client-key under [mirror.m]") {
			t.Errorf("%s: without one: %v", tls.VersionName(version), err)
		}
		if err := fetchFrom(t, Mirror{URL: at, CA: Paths{ca}, ClientCert: cert, ClientKey: key}); err != nil {
			t.Errorf("%s: by the table: %v", tls.VersionName(version), err)
		}
		host := certsDirectory(t, at)
		write(t, filepath.Join(host, "ca.crt"), server.cert)
		write(t, filepath.Join(host, "client.cert"), client.cert)
		write(t, filepath.Join(host, "client.key"), client.key)
		if err := fetchFrom(t, Mirror{URL: at}); err != nil {
			t.Errorf("%s: by certs.d: %v", tls.VersionName(version), err)
		}
	}
}

func TestAServerMayWantAClientCertificateInAPage(t *testing.T) {
	registry, address := serving(t, imageA)
	registry.Misbehave(registrytest.Page(400, "<title>400 No required SSL certificate was sent</title>").On())
	err := fetchFrom(t, Mirror{URL: address})
	if !permanent(err) || !strings.Contains(err.Error(), "set client-cert and client-key under [mirror.m]") {
		t.Errorf("got %v", err)
	}
}

// certsDirectory is where podman has the certificates of a host.
func certsDirectory(t *testing.T, address string) string {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, ".config/containers/certs.d", strings.TrimPrefix(address, "https://"))
	t.Cleanup(func() { os.RemoveAll(dir) }) // a later server may get the same port
	return dir
}

func TestInvalidClientCertificatesAreReported(t *testing.T) {
	id := newIdentity(t, time.Now().Add(time.Hour))
	cert := write(t, filepath.Join(t.TempDir(), "c.pem"), id.cert)
	lonely := filepath.Join(certsDirectory(t, "https://lonely.example"), "client.cert")
	write(t, lonely, id.cert)
	for _, test := range []struct {
		mirror Mirror
		want   string
	}{
		{Mirror{URL: "https://a.example", ClientCert: cert}, "it has only one of client-cert and client-key"},
		{Mirror{URL: "https://a.example", ClientCert: cert, ClientKey: "/none/k.pem"}, "/none/k.pem: no such file"},
		{Mirror{URL: "https://a.example", ClientCert: cert, ClientKey: cert}, "correct them in its table"},
		{Mirror{URL: "https://lonely.example"}, lonely + " has no key; put it at " + strings.TrimSuffix(lonely, "cert") + "key"},
	} {
		_, _, err := New(Config{Mirror: map[string]Mirror{"m": test.mirror}}, NewLogins("", nil), []string{"m"}, Images{Registry: dockerHub})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestAnExpiredCertificateMayBeTheClock(t *testing.T) {
	old := newIdentity(t, time.Now().Add(-time.Hour))
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), old.cert)
	err := fetchFrom(t, Mirror{URL: servingTLS(t, old, nil, tls.VersionTLS13), CA: Paths{ca}})
	if !permanent(err) || !strings.Contains(err.Error(), "certificate has expired") || !strings.Contains(err.Error(), "check the clock of this machine") {
		t.Errorf("got %v", err)
	}
}

// TestInsecureStorageIsForTheTableToAllow asks a mirror on https whose storage
// is on http.
func TestInsecureStorageIsForTheTableToAllow(t *testing.T) {
	_, storage := serving(t, imageA)
	id := newIdentity(t, time.Now().Add(time.Hour))
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), id.cert)
	m := Mirror{URL: servingTLS(t, id, nil, tls.VersionTLS13, registrytest.RedirectAll(storage, 307)), CA: Paths{ca}}
	err := fetchFrom(t, m)
	if !permanent(err) || !strings.Contains(err.Error(), "set allow-insecure-storage = true under [mirror.m]") {
		t.Errorf("by default: %v", err)
	}
	m.AllowInsecureStorage = true
	if err := fetchFrom(t, m); err != nil {
		t.Errorf("where it is allowed: %v", err)
	}
}

// TestPrivateStorageIsForTheTableToAllow reaches no public mirror: that the
// setting is obeyed is a test of internal/registry.
func TestPrivateStorageIsForTheTableToAllow(t *testing.T) {
	source := newSet(t, Config{Mirror: map[string]Mirror{"m": {URL: "https://a.example"}}}, "m").Sources()[0]
	err := source.explain(&registry.Error{Source: "m", Err: registry.ErrPrivateStorage})
	if !errors.Is(err, registry.ErrPrivateStorage) || !strings.Contains(err.Error(), "set allow-private-storage = true under [mirror.m]") {
		t.Errorf("got %v", err)
	}
}
