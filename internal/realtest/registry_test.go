package realtest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	user     = "walrus"
	password = "tusk"
	// bcrypt of the password, at the least cost.
	htpasswd = user + ":$2b$04$kQjcae2645aE9fMTlRyteuYqj7UNxEU3Cy2hAKxyAeDJWSAnFZZkK"
)

var listening = regexp.MustCompile(`msg="listening on ([^,"]+)`)

// registry is a docker-registry.
type registry struct {
	host   string // 127.0.0.1:PORT
	scheme string
	client *http.Client
	auth   auth.Credential
}

func (r registry) url() string { return r.scheme + "://" + r.host }

// startRegistry runs a registry with settings in the form that it takes from
// the environment.
func startRegistry(t *testing.T, settings ...string) registry {
	t.Helper()
	needs.Programs(t, "docker-registry")
	dir := tempDir(t)
	config := write(t, dir, "config.yml",
		"version: 0.1",
		"storage: {filesystem: {rootdirectory: "+dir+"}}",
		"http: {addr: '127.0.0.1:0'}")
	host := serve(t, listening, "env", append(settings, "docker-registry", "serve", config)...)
	return registry{host: host, scheme: "http", client: http.DefaultClient}
}

// startLockedRegistry runs a registry that asks for user and password.
func startLockedRegistry(t *testing.T) registry {
	t.Helper()
	users := write(t, tempDir(t), "htpasswd", htpasswd)
	r := startRegistry(t, "REGISTRY_AUTH_HTPASSWD_REALM=sea", "REGISTRY_AUTH_HTPASSWD_PATH="+users)
	r.auth = auth.Credential{Username: user, Password: password}
	return r
}

// startTLSRegistry runs a registry with a certificate that only those trust
// who have its file.
func startTLSRegistry(t *testing.T) (r registry, certificate string) {
	t.Helper()
	needs.Programs(t, "openssl")
	dir := tempDir(t)
	certificate, key := filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
	r = startRegistry(t, "REGISTRY_HTTP_TLS_CERTIFICATE="+certificate, "REGISTRY_HTTP_TLS_KEY="+key)
	pem, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	t.Cleanup(transport.CloseIdleConnections)
	r.scheme, r.client = "https", &http.Client{Transport: transport}
	return r, certificate
}

// push puts an image, or the images of an index, into the registry.
func (r registry) push(t *testing.T, repository, tag string, img registrytest.Image) {
	t.Helper()
	repo, err := remote.NewRepository(r.host + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = r.scheme == "http"
	repo.Client = &auth.Client{Client: r.client, Credential: auth.StaticCredential(r.host, r.auth)}
	for _, blob := range append(img.Layers, img.Config) {
		if blob.ReaderAt == nil {
			continue // an index has no config
		}
		if err := repo.Push(t.Context(), blob.Descriptor, io.NewSectionReader(blob, 0, blob.Size)); err != nil {
			t.Fatal(err)
		}
	}
	for i, child := range img.Images {
		r.push(t, repository, fmt.Sprintf("%s-%d", tag, i), child)
	}
	manifest := img.Manifest
	if err := repo.PushReference(t.Context(), manifest.Descriptor, io.NewSectionReader(manifest, 0, manifest.Size), tag); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name string, lines ...string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
