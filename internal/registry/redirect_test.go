package registry

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// signed redirects to a CDN whose signatures expire with the generation.
type signed struct {
	cdn, registry         string
	cdnSeen, registrySeen *recorder
	generation            atomic.Int32
	expired               int // what the CDN answers then
}

func newSigned(t *testing.T) *signed {
	s := &signed{expired: 403}
	cdn, cdnSeen := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("signature") != s.signature() {
			w.WriteHeader(s.expired)
			fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s has expired</Message></Error>", req.URL.String())
			return
		}
		blobServer(w, req)
	})
	registry, registrySeen := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if user, _, _ := req.BasicAuth(); user != "user" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
			return
		}
		http.Redirect(w, req, cdn.URL+"/secret-path?signature="+s.signature(), http.StatusTemporaryRedirect)
	})
	s.cdn, s.cdnSeen, s.registry, s.registrySeen = cdn.URL, cdnSeen, registry.URL, registrySeen
	return s
}

func (s *signed) signature() string { return fmt.Sprintf("very-secret-%d", s.generation.Load()) }

func (s *signed) client(t *testing.T) *Client {
	return client(t, s.registry, func(cfg *Config) {
		cfg.Login = login
		cfg.Header = http.Header{"X-Mirror-Key": {"mirror-secret"}}
	})
}

func TestRedirectIsRemembered(t *testing.T) {
	s := newSigned(t)
	c := s.client(t)
	for i := range 3 {
		got, err := fetchBlob(t, c, 0, 16)
		if err != nil || !bytes.Equal(got, content[:16]) {
			t.Fatalf("%d: %q, %v", i, got, err)
		}
	}
	if n := len(s.registrySeen.requests()); n != 2 { // one to be refused
		t.Errorf("the registry was asked %d times", n)
	}
	for _, req := range s.cdnSeen.requests() {
		if req.Header.Get("Authorization")+req.Header.Get("X-Mirror-Key")+req.Header.Get("Referer") != "" {
			t.Errorf("the CDN got %v", req.Header)
		}
		if req.Header.Get("Range") != "bytes=0-15" || req.Header.Get("Accept-Encoding") != "identity" || req.UserAgent() != "segpull" {
			t.Errorf("the CDN got %v", req.Header)
		}
	}
}

func TestRedirectExpires(t *testing.T) {
	for _, expired := range []int{401, 403, 404, 410} {
		s := newSigned(t)
		s.expired = expired
		c := s.client(t)
		for range 3 {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					got, err := fetchBlob(t, c, int64(i), int64(i)+16)
					if err != nil || !bytes.Equal(got, content[i:i+16]) {
						t.Errorf("%d: %q, %v", expired, got, err)
					}
				})
			}
			wg.Wait()
			s.generation.Add(1)
		}
	}
}

// The first address may have expired by the time that a machine that was
// asleep asks for it.
func TestRedirectExpiresOnTheWay(t *testing.T) {
	s := newSigned(t)
	good := s.cdnSeen.Handler
	var asked atomic.Int32
	s.cdnSeen.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		good.ServeHTTP(w, req)
	})
	got, err := fetchBlob(t, s.client(t), 0, 16)
	if err != nil || !bytes.Equal(got, content[:16]) {
		t.Errorf("%q, %v", got, err)
	}
	if n := len(s.registrySeen.requests()); n != 3 { // one to be refused
		t.Errorf("the registry was asked %d times", n)
	}
}

// A CDN that is gone is left for the one that the registry names now.
func TestRedirectTargetDies(t *testing.T) {
	s := newSigned(t)
	c := s.client(t)
	gone := *c.home.url()
	gone.Host = "127.0.0.1:1"
	c.redirects.set(contentDescriptor().Digest, &place{url: &gone, plain: true})
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
}

func TestRedirectRefusedAgainIsAnError(t *testing.T) {
	s := newSigned(t)
	c := s.client(t)
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
	s.cdnSeen.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Error(w, "<Error><Code>AccessDenied</Code><Message>"+req.URL.String()+" "+req.URL.RawQuery+"</Message></Error>", http.StatusForbidden)
	})
	_, err := fetchBlob(t, c, 0, 16)
	e := asError(t, err)
	if !e.Refused() || e.Code != "AccessDenied" || e.Where != s.cdn {
		t.Errorf("got %+v", e)
	}
	if n := len(s.registrySeen.requests()); n != 5 { // 2 for the first, then with a range and without
		t.Errorf("the registry was asked %d times", n)
	}
	if strings.Contains(e.Error(), "secret") {
		t.Errorf("a secret in %v", e)
	}
}

// A busy CDN is no reason to ask the registry again.
func TestBusyRedirectIsKept(t *testing.T) {
	s := newSigned(t)
	c := s.client(t)
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
	s.cdnSeen.Handler = status(503, "Retry-After", "30")
	_, err := fetchBlob(t, c, 0, 16)
	if e := asError(t, err); !e.Busy() || !e.HasAfter {
		t.Errorf("got %v", e)
	}
	if c.redirects.get(contentDescriptor().Digest) == nil {
		t.Error("forgotten")
	}
}

func TestRedirectRules(t *testing.T) {
	var location string
	server, _ := serve(t, true, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/v2/") {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
			return
		}
		blobServer(w, req)
	})
	plain, plainSeen := serve(t, false, blobServer)
	other, _ := serve(t, true, blobServer)
	for name, test := range map[string]struct {
		location string
		want     string // "" for success
		public   bool
	}{
		"relative":              {location: "/storage/x?a=secret"},
		"other host":            {location: other.URL + "/x?a=secret"},
		"to http":               {location: plain.URL + "/x?a=secret", want: "https to http"},
		"loop":                  {location: "/v2/loop?a=secret", want: "more than 5 times"},
		"no Location":           {want: "without a usable Location"},
		"malformed":             {location: "https://[::1?a=secret", want: "without a usable Location"},
		"other scheme":          {location: "file:///etc/secret", want: "without a usable Location"},
		"public to internal":    {location: other.URL + "/x?a=secret", want: "not a public address", public: true},
		"public to internal v6": {location: "https://[::ffff:10.0.0.1]/x?a=secret", want: "not a public address", public: true},
		"public to own":         {location: server.URL + "/x?a=secret", public: true},
	} {
		t.Run(name, func(t *testing.T) {
			location = test.location
			c := client(t, server.URL, func(cfg *Config) { cfg.TLS = roots(server, other) })
			if test.public {
				pretendPublic(c)
			}
			_, err := fetchBlob(t, c, 0, 16)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("followed")
			}
			if e := asError(t, err); !strings.Contains(e.Error(), test.want) || strings.Contains(e.Error(), "secret") {
				t.Errorf("got %v", e)
			}
		})
	}
	if n := len(plainSeen.requests()); n != 0 {
		t.Errorf("%d requests over http", n)
	}
}

// What TestRedirectRules has refused is followed where the user allows it.
func TestRedirectsThatAreAllowed(t *testing.T) {
	plain, _ := serve(t, false, blobServer)
	secure, _ := serve(t, true, blobServer)
	for name, test := range map[string]struct {
		storage string
		allow   func(*Config)
	}{
		"insecure": {plain.URL, func(cfg *Config) { cfg.InsecureStorage, cfg.PrivateStorage = true, true }},
		"private":  {secure.URL, func(cfg *Config) { cfg.PrivateStorage = true }},
	} {
		server, _ := serve(t, true, status(http.StatusFound, "Location", test.storage+"/x?a=secret"))
		trust := func(cfg *Config) { cfg.TLS = roots(server, secure) }
		for _, allowed := range []bool{false, true} {
			c := client(t, server.URL, trust)
			if allowed {
				c = client(t, server.URL, trust, test.allow)
			}
			pretendPublic(c)
			if _, err := fetchBlob(t, c, 0, 16); (err == nil) != allowed {
				t.Errorf("%s, allowed %v: %v", name, allowed, err)
			}
		}
	}
}

// Sent to another host and back, a request comes without credentials.
func TestRedirectThereAndBack(t *testing.T) {
	var back string
	other, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, back, http.StatusTemporaryRedirect)
	})
	server, rec := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		_, _, ok := req.BasicAuth()
		switch {
		case strings.HasSuffix(req.URL.Path, "/back"):
			blobServer(w, req)
		case ok:
			http.Redirect(w, req, other.URL, http.StatusTemporaryRedirect)
		default:
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
		}
	})
	back = server.URL + "/back"
	if _, err := fetchBlob(t, client(t, server.URL, func(cfg *Config) { cfg.Login = login }), 0, 16); err != nil {
		t.Fatal(err)
	}
	requests := rec.requests()
	if last := requests[len(requests)-1]; last.Header.Get("Authorization") != "" {
		t.Errorf("came back with %v", last.Header)
	}
}

// That a host's certificate is not checked is said of this host alone.
func TestUncheckedCertificateIsThatOfTheHostAlone(t *testing.T) {
	other, otherSeen := serve(t, true, text("application/json", `{"token":"x"}`))
	var elsewhere func(w http.ResponseWriter)
	server, _ := serve(t, true, func(w http.ResponseWriter, req *http.Request) {
		if elsewhere != nil {
			elsewhere(w)
			return
		}
		blobServer(w, req)
	})
	c := client(t, server.URL, func(cfg *Config) {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
		cfg.Login = login
	})
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Errorf("the host itself: %v", err)
	}
	for what, answer := range map[string]func(http.ResponseWriter){
		"a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"a token server": func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+other.URL+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		elsewhere = answer
		_, err := fetchBlob(t, c, 0, 16)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(otherSeen.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A host cannot have us log in elsewhere, or at itself, with what it says.
func TestRedirectWithCredentialsOfItsOwn(t *testing.T) {
	other, otherSeen := serve(t, false, blobServer)
	location := strings.Replace(other.URL, "http://", "http://admin:admin@", 1)
	server, seen := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/here") {
			blobServer(w, req)
			return
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for _, location = range []string{location, strings.Replace(server.URL, "http://", "http://admin:admin@", 1) + "/here"} {
		c := client(t, server.URL)
		for range 2 { // the second goes there straight
			if _, err := fetchBlob(t, c, 0, 16); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, req := range append(seen.requests(), otherSeen.requests()...) {
		if h := req.Header.Get("Authorization"); h != "" {
			t.Errorf("%s was sent %q", req.URL, h)
		}
	}
}

func TestForgetKeepsWhatIsNewer(t *testing.T) {
	var r redirects
	d := contentDescriptor().Digest
	c := client(t, "http://a.test")
	old, newer := c.endpoint("a", "blobs", "1"), c.endpoint("a", "blobs", "2")
	r.set(d, &newer)
	r.forget(d, &old)
	if r.get(d) != &newer {
		t.Error("another's redirect was forgotten")
	}
	if r.forget(d, &newer); r.get(d) != nil {
		t.Error("kept")
	}
}

func TestSameOrigin(t *testing.T) {
	c := client(t, "https://a.test")
	for other, same := range map[string]bool{
		"https://a.test/x": true, "https://A.test:443": true,
		"http://a.test": false, "https://a.test:444": false, "https://b.test": false, "https://a.test.b.test": false,
	} {
		u, err := c.home.url().Parse(other)
		if err != nil || sameOrigin(c.home.url(), u) != same {
			t.Errorf("%s: %v, want %v", other, !same, same)
		}
	}
}
