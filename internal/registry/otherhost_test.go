package registry

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// basicServer serves blobs to those who log in.
func basicServer(t *testing.T, secure bool) (*httptest.Server, *recorder) {
	return serve(t, secure, func(w http.ResponseWriter, req *http.Request) {
		if _, _, ok := req.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		blobServer(w, req)
	})
}

// A mirror may lead to another registry, which gets its own login; but over
// http any host may answer in that registry's name, except on this machine.
func TestLoginAfterRedirect(t *testing.T) {
	for name, test := range map[string]struct {
		secure bool
		host   string // that the redirect names; "" for that of the server
		sent   bool
	}{
		"https":            {secure: true, sent: true},
		"http on loopback": {sent: true},
		"http":             {host: "registry.test"},
	} {
		t.Run(name, func(t *testing.T) {
			other, seen := basicServer(t, test.secure)
			at, _ := url.Parse(other.URL)
			at.Host = cmp.Or(test.host, at.Host)
			mirror, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, at.String()+"/v2/team/app/blobs/sha256:00", http.StatusTemporaryRedirect)
			})
			var asked []string
			c := client(t, mirror.URL, func(cfg *Config) {
				cfg.Login = func(ctx context.Context, host, repository string) (Login, error) {
					asked = append(asked, host+"/"+repository)
					return login(ctx, host, repository)
				}
				if test.secure {
					cfg.TLS = roots(other)
				}
			})
			c.transport.others.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return newDialer().DialContext(ctx, network, other.Listener.Addr().String())
			}
			_, err := fetchBlob(t, c, 0, 16)
			if test.sent {
				if err != nil || len(asked) != 1 || asked[0] != at.Host+"/team/app" {
					t.Errorf("%v, logins of %q", err, asked)
				}
				return
			}
			if e := asError(t, err); !e.Refused() || len(asked) != 0 {
				t.Errorf("%v, logins of %q", err, asked)
			}
			for _, req := range seen.requests() {
				if req.Header.Get("Authorization") != "" {
					t.Error("the login was sent")
				}
			}
		})
	}
}

// A registry that a redirect led to is asked straight, with what it asked for.
func TestRedirectToARegistryIsRemembered(t *testing.T) {
	other, otherSeen := basicServer(t, true)
	mirror, seen := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, other.URL+"/v2/team/app/blobs/sha256:00", http.StatusTemporaryRedirect)
	})
	c := client(t, mirror.URL, func(cfg *Config) { cfg.Login, cfg.TLS = login, roots(other) })
	for range 3 {
		if _, err := fetchBlob(t, c, 0, 16); err != nil {
			t.Fatal(err)
		}
	}
	if n, m := len(seen.requests()), len(otherSeen.requests()); n != 1 || m != 4 {
		t.Errorf("the mirror was asked %d times, the registry %d", n, m)
	}
}

// A host that was asked straight cannot lead back to the source's own, with
// authorization for what it likes.
func TestRememberedRedirectBack(t *testing.T) {
	var back atomic.Pointer[string]
	other, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if to := back.Load(); to != nil {
			http.Redirect(w, req, *to, http.StatusTemporaryRedirect)
			return
		}
		blobServer(w, req)
	})
	server, rec := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if _, _, ok := req.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, req, other.URL, http.StatusTemporaryRedirect)
	})
	c := client(t, server.URL, func(cfg *Config) { cfg.Login = login })
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
	to := server.URL + "/logout"
	back.Store(&to)
	_, _ = fetchBlob(t, c, 0, 16)
	for _, req := range rec.requests() {
		if req.URL.Path == "/logout" && req.Header.Get("Authorization") != "" {
			t.Error("came back with authorization")
		}
	}
}

// Hosts that lower case makes equal are different hosts to DNS.
func TestHostsLookAlike(t *testing.T) {
	c := client(t, "https://mirror.example")
	for _, location := range []string{
		"https://mİrror.example/v2/a/blobs/b", "https://m%C4%B0rror.example/v2/a/blobs/b", "//mİrror.example/x",
		"https://a%C2%9B31m.example/", // a control sequence of terminals
	} {
		if u, err := c.blobs.redirect(c.home.url(), location); err == nil {
			t.Errorf("a redirect leads to %s", u)
		}
		if u, err := c.blobs.auth.tokenServer(target{scheme: "https", host: "mirror.example"}, location); err == nil {
			t.Errorf("a token is asked of %s", u)
		}
		if u, err := foreignURL(location); err == nil {
			t.Errorf("a layer is asked of %s", u)
		}
	}
	own := client(t, "https://bücher.example")
	if _, err := own.blobs.redirect(own.home.url(), "/storage"); err != nil {
		t.Errorf("the user's own: %v", err)
	}
}

func TestTokenServerThatLooksAlike(t *testing.T) {
	b := newBearer(t, plainBearer)
	b.tokens.Config.Handler = status(http.StatusTemporaryRedirect, "Location", "http://127.0.0.1İ/")
	_, err := fetchBlob(t, client(t, b.registry.URL, func(cfg *Config) { cfg.Login = login }), 0, 16)
	if e := asError(t, err); !strings.Contains(e.Error(), "without a usable Location") {
		t.Errorf("got %v", e)
	}
}

// What a redirect names is asked for in a login's or token's name only if it
// is a repository as such.
func TestRepositoryIn(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/library/app/blobs/sha256:00":              "library/app",
		"/repository/hub/v2/library/app/manifests/1.0": "library/app",
		"/v2/Team_1/my.app-x__y/blobs/sha256%3A00":     "Team_1/my.app-x__y",
		"/v2/a/%2e%2e/b/blobs/x":                       "",
		"/v2/a/../b/blobs/x":                           "",
		"/v2/a%2Fb/blobs/x":                            "",
		"/v2/a:push%20repository:b/blobs/x":            "",
		"/v2//a/blobs/x":                               "",
		"/v2/blobs/x":                                  "",
		"/storage/x":                                   "",
	} {
		u, err := url.Parse("https://h.test" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := repositoryIn(u.EscapedPath()); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
