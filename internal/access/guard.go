package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// leastToken is the least length of a token, in bytes: shorter ones can be guessed.
	leastToken = 16
	// mostFile bounds each file, in bytes.
	mostFile = 1 << 20
)

// Files name what a Guard reads. Each may be empty.
type Files struct {
	// Cert and Key are PEM files with the certificate of the server, followed by those
	// of its authorities, and with its key. Empty: no TLS.
	Cert, Key string
	// ClientCA is a PEM file with authorities. A client needs a certificate of one of
	// them, or a token.
	ClientCA string
	// Token is a file with a token of at least 16 bytes in each line. Empty lines and
	// lines that begin with # have none.
	Token string
}

// check returns what the user has to change.
func (f Files) check() error {
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return errors.New("tls-cert and tls-key need each other")
	case f.ClientCA != "" && f.Cert == "":
		return errors.New("client-ca needs tls-cert and tls-key: clients show certificates only with TLS")
	}
	return nil
}

func (f Files) names() []string {
	return slices.DeleteFunc([]string{f.Cert, f.Key, f.ClientCA, f.Token}, func(name string) bool { return name == "" })
}

// Guard admits clients by what its files have. It is safe for concurrent use.
type Guard struct {
	files   Files
	current atomic.Pointer[content]

	mu   sync.Mutex // guards what follows
	seen []os.FileInfo
}

// content is what the files had at one time.
type content struct {
	tls      *tls.Config // nil: no TLS
	byCert   bool
	tokens   [][sha256.Size]byte
	chain    []*x509.Certificate // of the server, itself first
	identify bool                // whether clients need a certificate or a token
}

// NewGuard reads the files.
func NewGuard(files Files) (*Guard, error) {
	if err := files.check(); err != nil {
		return nil, err
	}
	g := &Guard{files: files}
	return g, g.Reload()
}

// Reload reads the files again. If one of them is not usable, the error names it, and
// nothing changes.
func (g *Guard) Reload() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = g.stat() // before they are read: a later change shows
	c, err := g.files.read()
	if err != nil {
		return err
	}
	g.current.Store(c)
	return nil
}

// HasFiles reports whether there is anything to read.
func (g *Guard) HasFiles() bool { return g.files != Files{} }

// Changed reports whether a file is another than when it was read last.
func (g *Guard) Changed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !slices.EqualFunc(g.seen, g.stat(), func(a, b os.FileInfo) bool {
		if a == nil || b == nil {
			return a == b
		}
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	})
}

// stat describes the files; nil is one that cannot be found.
func (g *Guard) stat() (all []os.FileInfo) {
	for _, name := range g.files.names() {
		info, err := os.Stat(name)
		if err != nil {
			info = nil
		}
		all = append(all, info)
	}
	return all
}

func (f Files) read() (*content, error) {
	c := &content{identify: f.ClientCA != "" || f.Token != "", byCert: f.ClientCA != ""}
	if f.Cert != "" {
		if err := c.readTLS(f); err != nil {
			return nil, err
		}
	}
	if f.Token != "" {
		if err := c.readTokens(f.Token); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *content) readTLS(f Files) error {
	cert, err := read(f.Cert)
	if err != nil {
		return err
	}
	key, err := read(f.Key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s and %s are no certificate with its key in PEM: %w", f.Cert, f.Key, err)
	}
	for _, der := range pair.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Cert, err)
		}
		c.chain = append(c.chain, parsed)
	}
	c.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if f.ClientCA == "" {
		return nil
	}
	authorities, err := read(f.ClientCA)
	if err != nil {
		return err
	}
	c.tls.ClientCAs, c.tls.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven // Handler refuses those without
	if !c.tls.ClientCAs.AppendCertsFromPEM(authorities) {
		return fmt.Errorf("%s has no certificate in PEM", f.ClientCA)
	}
	return nil
}

func (c *content) readTokens(name string) error {
	text, err := read(name)
	if err != nil {
		return err
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
		case len(line) < leastToken:
			return fmt.Errorf("%s:%d: a token needs at least %d characters; 'openssl rand -hex 32' makes one", name, i+1, leastToken)
		default:
			c.tokens = append(c.tokens, sha256.Sum256(line))
		}
	}
	if len(c.tokens) == 0 {
		return fmt.Errorf("%s has no token: write one into it; 'openssl rand -hex 32' makes one", name)
	}
	return nil
}

// read reads a file of at most mostFile bytes.
func read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > mostFile {
		err = fmt.Errorf("%s has more than %d bytes: correct the path", name, mostFile)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// TLS returns the configuration for a listener, with what the files have when a client
// connects. nil: no TLS.
func (g *Guard) TLS() *tls.Config {
	if g.current.Load().tls == nil {
		return nil
	}
	return &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return g.current.Load().tls, nil },
	}
}

// Identifies reports whether clients need a certificate or a token.
func (g *Guard) Identifies() bool { return g.current.Load().identify }

// Name returns the first name of a host in the server's certificate, or "".
func (g *Guard) Name() string {
	if chain := g.current.Load().chain; len(chain) > 0 {
		for _, name := range chain[0].DNSNames {
			if !strings.HasPrefix(name, "*") {
				return name
			}
		}
	}
	return ""
}

// SystemTrusts reports whether the system's authorities vouch for the server's
// certificate, so that its clients need no other.
func (g *Guard) SystemTrusts() bool {
	chain := g.current.Load().chain
	if len(chain) == 0 {
		return false
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Intermediates: between})
	return err == nil
}

// Handler passes the requests of clients that have a certificate or a token to next, and
// those of probes for /livez, /readyz and /healthz. Without ClientCA and Token it passes
// all.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := g.current.Load(); c.identify && !isProbe(r) && !c.knows(r) {
			c.refuse(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isProbe(r *http.Request) bool {
	return slices.Contains([]string{"/livez", "/readyz", "/healthz"}, r.URL.Path)
}

func (c *content) knows(r *http.Request) bool {
	if c.byCert && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	given := ""
	if _, password, ok := r.BasicAuth(); ok {
		given = password
	} else if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	sum, found := sha256.Sum256([]byte(given)), 0
	for _, token := range c.tokens {
		found |= subtle.ConstantTimeCompare(sum[:], token[:])
	}
	return found == 1
}

// refuse answers as the distribution specification has it. Only where tokens are known, it
// asks for one: docker answers a challenge of a mirror with Docker Hub's password.
func (c *content) refuse(w http.ResponseWriter) {
	if len(c.tokens) == 0 {
		answer(w, http.StatusForbidden, "DENIED", "this server wants a client certificate")
		return
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="segpull"`)
	answer(w, http.StatusUnauthorized, "UNAUTHORIZED", "this server wants its token, as a password or as a Bearer token")
}

func answer(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}
