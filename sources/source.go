package sources

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/credentials"
	"github.com/segpull/segpull/internal/registry"
)

// Source is one mirror, as the source of the images of one registry. It is safe
// for concurrent use.
type Source struct {
	at       endpoint
	client   *registry.Client
	loggedIn atomic.Bool               // a stored login was used
	silentAt atomic.Pointer[time.Time] // when it last did not answer for a tag; nil: not recently
	lateAt   atomic.Pointer[time.Time] // when another source last answered in its place; nil: not since it sent anything
}

// Name returns the name that messages have for the source: the one that the user
// gave, or for a URL host[:port][/prefix].
func (s *Source) Name() string { return s.at.name }

// URL returns the address of the source: http(s)://host[:port][/prefix], as the user may
// name it.
func (s *Source) URL() string { return s.at.url.String() }

// Place returns where the source is configured.
func (s *Source) Place() Place { return s.at.at }

// ResolvesTags reports whether the source is trusted for tags.
func (s *Source) ResolvesTags() bool { return s.at.trusted() }

// SendsNamespace reports whether requests have ?ns= with the images' registry.
func (s *Source) SendsNamespace() bool { return s.at.NS != nil && *s.at.NS }

// repository returns the name of a repository without what the source's path replaces.
func (s *Source) repository(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, s.at.strip), "/")
}

// LimitRate returns the limit that the configuration has for this source, in bytes
// a second; 0 is no limit.
func (s *Source) LimitRate() int64 { return int64(s.at.LimitRate) }

// Connections returns the most connections that the configuration allows to this
// source; 0 is the default for all sources.
func (s *Source) Connections() int { return s.at.Connections }

// Open requests the bytes [start, end) of a blob, without a limit of time until
// the headers of the answer. It returns the body and its real bounds: start and
// end, or 0 and the blob's size if the mirror does not serve ranges. The body ends
// with an error if it has fewer bytes, and has no more; Open does not hash them.
// If the mirror lacks a blob whose descriptor has URLs (a foreign layer), Open
// requests it from those.
//
// The errors have methods that errors.As finds: Missing, Refused, Busy, Mismatch
// and Permanent, which return a bool, and RetryAfter.
func (s *Source) Open(ctx context.Context, repository string, b ocispec.Descriptor, start, end int64) (io.ReadCloser, int64, int64, error) {
	stream, err := s.client.Blob(ctx, s.repository(repository), b, start, end)
	switch {
	case err != nil && len(b.URLs) > 0 && definite(err):
		var foreign error
		if stream, foreign = s.client.Foreign(ctx, b.URLs, b, start, end); foreign != nil {
			return nil, 0, 0, fmt.Errorf("%w (and before that: %v)", foreign, err)
		}
	case err != nil:
		return nil, 0, 0, s.explain(err)
	}
	s.answered(false)
	return stream.Body, stream.Start, stream.End, nil
}

// WithVia returns a context for requests to sources that have the field Via (RFC 9110,
// section 7.6.3), by which servers find that they ask themselves.
func WithVia(ctx context.Context, via string) context.Context { return registry.WithVia(ctx, via) }

// explain adds to an error what the user can do about it.
func (s *Source) explain(err error) error {
	// Alone, since the request around it does not count as refused.
	if own, ok := errors.AsType[*CredentialError](err); ok {
		return own
	}
	if advice := s.advice(err); advice != "" {
		return fmt.Errorf("%w (%s)", err, advice)
	}
	return err
}

func (s *Source) advice(err error) string {
	host := credentials.Canonical(s.at.url.Host)
	failed, _ := errors.AsType[*registry.Error](err)
	switch {
	case errors.Is(err, registry.ErrInsecureStorage):
		return "to allow it, set allow-insecure-storage = true under " + s.at.table
	case errors.Is(err, registry.ErrPrivateStorage):
		return "to allow it, set allow-private-storage = true under " + s.at.table
	case failed != nil && failed.WantsClientCertificate():
		return fmt.Sprintf("if the server wants a client certificate, set client-cert and client-key under %s, or put client.cert and client.key into ~/.config/containers/certs.d/%s", s.at.table, host)
	case failed != nil && !failed.Refused():
		return certificateAdvice(err, host)
	case failed == nil || !refused(err):
		return ""
	case failed.Login != "":
		return fmt.Sprintf("the login stored in %s was refused: run docker login %s, or docker logout %[2]s if the image is public", failed.Login, cmp.Or(s.elsewhere(failed), host))
	case s.elsewhere(failed) != "":
		return fmt.Sprintf("%s redirects to that host: use another mirror, or run docker login %s if it is a registry", s.Name(), s.elsewhere(failed))
	case s.at.Note != "":
		return "it " + s.at.Note
	case failed.StatusCode == http.StatusForbidden && failed.Code == "" && failed.Message != "":
		return "" // it has said why
	}
	if s.at.push {
		return "pushing needs a login with write access: run docker login " + host
	}
	return "the image does not exist there, or needs a login: run docker login " + host
}

// elsewhere is the host that refused, if it is one that the mirror redirects
// to; else "". A token server refuses in the name of a host that the error does not have.
func (s *Source) elsewhere(e *registry.Error) string {
	at, err := url.Parse(e.Where)
	if e.Op == "token" || err != nil || credentials.Canonical(at.Host) == credentials.Canonical(s.at.url.Host) {
		return ""
	}
	return credentials.Canonical(at.Host)
}

// certificateAdvice says what to do about a certificate that is not accepted.
func certificateAdvice(err error, host string) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Sprintf("if you trust that authority, give its certificate with ca in the mirror's table, or put it into ~/.config/containers/certs.d/%s/ca.crt", host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "check the clock of this machine, or report this to the operator of the server"
	}
	if other, ok := errors.AsType[x509.HostnameError](err); ok {
		if c := other.Certificate; c != nil && len(c.DNSNames)+len(c.IPAddresses) == 0 {
			return "report this to the operator of the server: its certificate needs subject alternative names"
		}
		return "another server probably answers in its place, such as a captive portal or a proxy"
	}
	return ""
}

// open prepares the source, without a connection.
func (e endpoint) open(registryName string, logins *Logins, warn func(message string)) (*Source, error) {
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
		Name: e.name, URL: e.url, PlainFallback: e.plain, Header: header, TLS: tlsConfig, Proxy: proxy,
		Push: e.push, InsecureStorage: e.AllowInsecureStorage, PrivateStorage: e.AllowPrivateStorage,
		API: e.api, DialTimeout: e.dialTimeout,
		Warn: warn, Login: logins.find,
	}
	if !e.verified() {
		config.Login = logins.withhold
	}
	if logins.PrivateOnly && !e.Private {
		if header.Get("Authorization") != "" || e.ClientCert != "" || len(e.clients) > 0 {
			return nil, &MirrorError{e.name, "it needs credentials, which segpull serve uses for all its clients only if it may", "set private = true under " + e.table}
		}
		config.Login = nil
		config.TLS.Certificates = nil // those of certs.d
	}
	s := &Source{at: e}
	if s.SendsNamespace() {
		config.Namespace = registryName
	}
	if find := config.Login; find != nil {
		config.Login = func(ctx context.Context, host, repository string) (registry.Login, error) {
			login, err := find(ctx, host, repository)
			if err == nil && !credentials.Login(login).Empty() {
				s.loggedIn.Store(true)
			}
			return login, err
		}
	}
	s.client = registry.New(config)
	return s, nil
}

// header returns the fields that the mirror's table adds to requests.
func (e endpoint) header() (http.Header, error) {
	h := http.Header{}
	for name, value := range e.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, &MirrorError{e.name, err.Error(), "correct its headers" + e.place()}
		}
		h.Set(name, value)
	}
	return h, nil
}

// checkHeader refuses the fields that say what is asked for and how it comes,
// and what net/http would not send. The error has no value: it may be a secret.
func checkHeader(name, value string) error {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Accept-Encoding", "Connection", "Content-Length", "Host", "If-Range", "Range", "Transfer-Encoding":
		return fmt.Errorf("segpull sets the header %s itself", name)
	}
	if !isHeaderName(name) {
		return fmt.Errorf("%q is not a valid header name", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the value of header %s contains control characters", name)
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
	if u, _ := choose(&http.Request{URL: e.url}); u != nil && u.Scheme == "https" {
		return nil, &MirrorError{e.name, "tls-verify = false would also turn off the check of its https proxy", "use another proxy, or ca in place of tls-verify"}
	}
	return choose, nil
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
	return nil, &MirrorError{e.name, "its proxy is not a URL", `write proxy = "http://host:port", "socks5://host:port" or "direct"`}
}
