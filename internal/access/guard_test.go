package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sign returns a certificate and its key, in PEM.
func (a authority) sign(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"*." + name, name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// folder has the files of a Guard.
type folder struct{ Files }

func newFolder(t *testing.T, a authority) folder {
	t.Helper()
	dir := t.TempDir()
	f := folder{Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca"), Token: filepath.Join(dir, "token")}}
	cert, key := a.sign(t, "one.example")
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	write(t, f.ClientCA, block("CERTIFICATE", a.cert.Raw))
	write(t, f.Token, []byte("# of the builders\n\n0123456789abcdef\nfedcba9876543210  \n"))
	return f
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// served starts a server behind a guard, and returns its URL.
func served(t *testing.T, files Files) (*Guard, string) {
	t.Helper()
	guard, err := NewGuard(files)
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http://"
	if config := guard.TLS(); config != nil {
		scheme, at = "https://", tls.NewListener(at, config)
	}
	server := &http.Server{Handler: guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))}
	go server.Serve(at)
	t.Cleanup(func() { server.Close() })
	return guard, scheme + at.Addr().String()
}

// client trusts an authority, and has a certificate if it is not nil.
func client(t *testing.T, a authority, cert, key []byte) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.cert)
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string, set func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// A client shows a certificate or a token; one of them is enough. Probes need neither.
func TestClientsIdentifyThemselves(t *testing.T) {
	ours, strange := newAuthority(t), newAuthority(t)
	all := newFolder(t, ours).Files
	cert, key := ours.sign(t, "client")
	strangeCert, strangeKey := strange.sign(t, "client")
	onlyToken, onlyCert := all, all
	onlyToken.ClientCA, onlyCert.Token = "", ""
	plain := Files{Token: all.Token}
	basic := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anybody", password) }
	}
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	for _, test := range []struct {
		name      string
		files     Files
		cert, key []byte
		set       func(*http.Request)
		path      string
		status    int
	}{
		{"nothing", all, nil, nil, nil, "/v2/", 401},
		{"a certificate", all, cert, key, nil, "/v2/", 200},
		{"a token as a password", all, nil, nil, basic("0123456789abcdef"), "/v2/", 200},
		{"the second token", all, nil, nil, header("bearer fedcba9876543210"), "/v2/", 200},
		{"a wrong token", all, nil, nil, basic("0123456789abcdeF"), "/v2/", 401},
		{"a comment", all, nil, nil, basic("# of the builders"), "/v2/", 401},
		{"an empty token", all, nil, nil, header("Bearer "), "/v2/", 401},
		{"another scheme", all, nil, nil, header("Digest 0123456789abcdef"), "/v2/", 401},
		{"no certificate", onlyCert, nil, nil, basic("0123456789abcdef"), "/v2/", 403},
		{"a certificate, where tokens are wanted", onlyToken, cert, key, nil, "/v2/", 401},
		{"a probe", all, nil, nil, nil, "/readyz", 200},
		{"without TLS", plain, nil, nil, header("Bearer 0123456789abcdef"), "/v2/", 200},
		{"without TLS and token", plain, nil, nil, nil, "/v2/", 401},
		{"no guard", Files{}, nil, nil, nil, "/v2/", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, url := served(t, test.files)
			resp, body := get(t, client(t, ours, test.cert, test.key), url+test.path, test.set)
			if resp.StatusCode != test.status {
				t.Errorf("%s: %s", resp.Status, body)
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
				t.Errorf("the challenge is %q", challenge)
			}
			if test.status >= 400 && !strings.Contains(body, `{"errors":[{"code":`) {
				t.Errorf("the body is %q", body)
			}
		})
	}
	_, url := served(t, all)
	if resp, err := client(t, ours, strangeCert, strangeKey).Get(url + "/v2/"); err == nil {
		resp.Body.Close()
		t.Errorf("%s with a certificate of another authority", resp.Status)
	}
}

func TestProtocols(t *testing.T) {
	a := newAuthority(t)
	f := newFolder(t, a)
	guard, url := served(t, Files{Cert: f.Cert, Key: f.Key})
	if name := guard.Name(); name != "one.example" {
		t.Errorf("the name is %q", name)
	}
	if guard.SystemTrusts() {
		t.Error("the system trusts an authority of this test")
	}
	if _, proto := get(t, client(t, a, nil, nil), url, nil); proto != "HTTP/2.0" {
		t.Errorf("it speaks %s", proto)
	}
	old := client(t, a, nil, nil)
	old.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	if _, proto := get(t, old, url, nil); proto != "HTTP/1.1" {
		t.Errorf("it speaks %s", proto)
	}
	old = client(t, a, nil, nil)
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if resp, err := old.Get(url); err == nil {
		resp.Body.Close()
		t.Error("it speaks TLS 1.1")
	}
}

// New files count for the connections after them; bad ones do not.
func TestNewFiles(t *testing.T) {
	a := newAuthority(t)
	f := newFolder(t, a)
	guard, url := served(t, f.Files)
	name := func() string {
		c := client(t, a, nil, nil)
		resp, _ := get(t, c, url+"/livez", nil)
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name() != "one.example" || guard.Changed() {
		t.Fatal("the files changed by themselves")
	}
	cert, key := a.sign(t, "two.example")
	write(t, f.Cert, cert)
	if !guard.Changed() {
		t.Error("the new certificate is not noticed")
	}
	if err := guard.Reload(); err == nil || !strings.Contains(err.Error(), f.Key) {
		t.Errorf("a certificate without its key: %v", err)
	}
	if guard.Changed() || name() != "one.example" {
		t.Error("the bad pair took the place of the good one")
	}
	write(t, f.Key, key)
	write(t, f.Token, []byte("a-token-of-another-day\n"))
	if !guard.Changed() {
		t.Error("the new key is not noticed")
	}
	if err := guard.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "two.example" {
		t.Errorf("the certificate is that of %s", got)
	}
	for token, status := range map[string]int{"a-token-of-another-day": 200, "0123456789abcdef": 401} {
		if resp, _ := get(t, client(t, a, nil, nil), url, func(r *http.Request) { r.SetBasicAuth("", token) }); resp.StatusCode != status {
			t.Errorf("%s: %s", token, resp.Status)
		}
	}
	os.Remove(f.Token)
	if !guard.Changed() {
		t.Error("it is not noticed that a file is missing")
	}
}

func TestUnusableFiles(t *testing.T) {
	f := newFolder(t, newAuthority(t))
	short, empty, large := filepath.Join(t.TempDir(), "short"), filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "large")
	write(t, short, []byte("0123456789abcdef\nsecret\n"))
	write(t, empty, []byte("# nothing\n"))
	write(t, large, make([]byte, mostFile+1))
	for _, test := range []struct {
		files Files
		want  string
	}{
		{Files{Cert: f.Cert}, "need each other"},
		{Files{Key: f.Key}, "need each other"},
		{Files{ClientCA: f.ClientCA}, "needs tls-cert"},
		{Files{Cert: f.Key, Key: f.Key}, "no certificate with its key"},
		{Files{Cert: f.Cert, Key: f.Key, ClientCA: f.Token}, "no certificate in PEM"},
		{Files{Token: short}, "short:2: a token needs at least 16"},
		{Files{Token: empty}, "has no token"},
		{Files{Token: large}, "has more than"},
		{Files{Token: "none"}, "none: no such file"},
	} {
		if _, err := NewGuard(test.files); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", test.files, err)
		}
	}
}
