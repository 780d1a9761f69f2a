package sources

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/segpull/segpull/internal/registry"
)

// Source is one mirror as it is asked for the images of one registry. It is
// safe for use by several goroutines.
type Source struct {
	at     endpoint
	client *registry.Client
}

// Name is what messages call it: the name that the user gave, or for a URL
// host[:port][/prefix].
func (s *Source) Name() string { return s.at.name }

// LimitRate is the most it may send, in bytes a second. 0: no limit of its own.
func (s *Source) LimitRate() int64 { return int64(s.at.LimitRate) }

// Connections is the most connections to it. 0: the default for all.
func (s *Source) Connections() int { return s.at.Connections }

// Open asks for the bytes [start, end) of a blob. What comes is the body with
// the bounds that it really has: those asked for, or 0 and the blob's size
// where the mirror does not serve ranges. A blob with urls (a foreign layer)
// is fetched from those if the mirror does not have it. Errors keep the
// methods of internal/registry.Error for errors.As; the bytes are not hashed.
func (s *Source) Open(ctx context.Context, repository string, b ocispec.Descriptor, start, end int64) (io.ReadCloser, int64, int64, error) {
	stream, err := s.client.Blob(ctx, repository, b, start, end)
	if err != nil && len(b.URLs) > 0 && (missing(err) || refused(err)) {
		var foreign error
		if stream, foreign = s.client.Foreign(ctx, b.URLs, b, start, end); foreign == nil {
			err = nil
		} else {
			err = fmt.Errorf("%w (and before that: %v)", foreign, err)
		}
	}
	if err != nil {
		return nil, 0, 0, s.explain(err)
	}
	return stream.Body, stream.Start, stream.End, nil
}

// explain adds to an error what the user can do about it.
func (s *Source) explain(err error) error {
	// Alone, since the request around it does not count as refused.
	if own, ok := errors.AsType[*CredentialError](err); ok {
		return own
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w (if that authority is to be trusted, name its certificate by ca in the mirror's table, or put it into ~/.config/containers/certs.d/%s/ca.crt)",
			err, canonical(s.at.url.Host))
	}
	if !refused(err) {
		return err
	}
	if s.at.Note != "" {
		return fmt.Errorf("%w (it %s)", err, s.at.Note)
	}
	return fmt.Errorf("%w (no such image there, or run docker login %s)", err, canonical(s.at.url.Host))
}

// open makes the source ready; nothing is connected to yet.
func (e endpoint) open(registryName string, creds *credentials) (*Source, error) {
	header, err := e.header()
	if err != nil {
		return nil, err
	}
	proxy, err := e.proxy()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := e.tls()
	if err != nil {
		return nil, err
	}
	config := registry.Config{
		Name: e.name, URL: e.url, Header: header, TLS: tlsConfig, Proxy: proxy,
		Credential: func(ctx context.Context, host string) (auth.Credential, error) {
			if host != e.url.Host { // of a registry, never to its mirrors
				return auth.EmptyCredential, nil
			}
			if !e.verified() {
				return creds.withhold(ctx, host)
			}
			return creds.get(ctx, host)
		},
	}
	if e.NS != nil && *e.NS {
		config.Namespace = registryName
	}
	return &Source{at: e, client: registry.New(config)}, nil
}

// header returns the fields that the mirror's table adds to requests.
func (e endpoint) header() (http.Header, error) {
	h := http.Header{}
	for name, value := range e.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, &MirrorError{e.name, err.Error(), "mend its headers"}
		}
		h.Set(name, value)
	}
	return h, nil
}

// checkHeader refuses the fields that say what is asked for and how it comes,
// and what net/http would not send. A value is not told: it may be a secret.
func checkHeader(name, value string) error {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Accept-Encoding", "Connection", "Content-Length", "Host", "If-Range", "Range", "Transfer-Encoding":
		return fmt.Errorf("the header %s is segpull's own", name)
	}
	if !isHeaderName(name) {
		return fmt.Errorf("%q is no name of a header", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the value of header %s has control characters", name)
	}
	return nil
}

// isHeaderName knows the tokens of RFC 9110, 5.6.2.
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// chooseProxy chooses the proxy of a request, nil for none.
type chooseProxy = func(*http.Request) (*url.URL, error)

func (e endpoint) proxy() (chooseProxy, error) {
	choose, err := e.anyProxy()
	if err != nil || e.verified() {
		return choose, err
	}
	// net/http treats the certificate of an https proxy as it does the mirror's.
	return func(req *http.Request) (*url.URL, error) {
		u, err := choose(req)
		if u != nil && u.Scheme == "https" {
			return nil, errors.New("tls-verify = false would leave the certificate of its https proxy unchecked too: use another proxy, or ca")
		}
		return u, err
	}, nil
}

func (e endpoint) anyProxy() (chooseProxy, error) {
	switch e.Proxy {
	case "":
		return http.ProxyFromEnvironment, nil
	case "direct":
		return func(*http.Request) (*url.URL, error) { return nil, nil }, nil
	}
	u, err := url.Parse(e.Proxy)
	if err == nil && u.Host != "" && isPort(u.Port()) {
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
			return http.ProxyURL(u), nil
		}
	}
	return nil, &MirrorError{e.name, "its proxy is no URL", `write proxy = "http://host:port", "socks5://host:port" or "direct"`}
}

// tls trusts the certificates of ca, and those that Docker and podman trust for
// the host, beside the system's.
func (e endpoint) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !e.verified()}
	switch {
	case e.verified():
	case e.url.Scheme == "http":
		return nil, &MirrorError{e.name, "tls-verify means nothing to a mirror on http", "take it out of its table"}
	case len(e.CA) > 0:
		return nil, &MirrorError{e.name, "with tls-verify = false its ca means nothing", "take one of them out of its table"}
	}
	files := append([]string(e.CA), hostCertificates(canonical(e.url.Host))...)
	if len(files) == 0 {
		return config, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, &MirrorError{e.name, err.Error(), "mend its ca"}
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, &MirrorError{e.name, "no PEM certificate in " + file, "mend its ca"}
		}
	}
	config.RootCAs = roots
	return config, nil
}

// warning tells what it means that the mirror's certificate is not checked.
func (e endpoint) warning() error {
	reason := "its certificate is not checked, so whoever is on the way can answer for it: "
	if e.trusted() {
		reason += "what a tag means, too"
	} else {
		reason += "it is asked by digest only"
	}
	return &MirrorError{e.name, reason, "name its certificate by ca in place of tls-verify = false"}
}

// hostCertificates lists the *.crt files in the host's folder of certs.d
// (containers-certs.d(5)).
func hostCertificates(host string) []string {
	folders := []string{"/etc/docker/certs.d", "/etc/containers/certs.d"}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".config/containers/certs.d"))
	}
	var files []string
	for _, folder := range folders {
		entries, _ := os.ReadDir(filepath.Join(folder, host)) // mostly absent
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".crt") {
				files = append(files, filepath.Join(folder, host, entry.Name()))
			}
		}
	}
	return files
}
