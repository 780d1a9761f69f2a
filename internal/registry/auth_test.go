package registry

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bearer is a registry with a token server, whose tokens can be expired.
type bearer struct {
	registry, tokens *httptest.Server
	registrySeen     *recorder
	tokensSeen       *recorder
	generation       atomic.Int32
}

func newBearer(t *testing.T, challenge func(realm string) []string) *bearer {
	b := new(bearer)
	b.tokens, b.tokensSeen = serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": b.token()})
	})
	b.registry, b.registrySeen = serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer "+b.token() {
			for _, line := range challenge(b.tokens.URL + "/token?account=x") {
				w.Header().Add("WWW-Authenticate", line)
			}
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		blobServer(w, req)
	})
	return b
}

func (b *bearer) token() string { return fmt.Sprintf("token-%d", b.generation.Load()) }

func plainBearer(realm string) []string {
	return []string{`Bearer realm="` + realm + `",service="reg.test",scope="repository:library/ubuntu:pull"`}
}

func login(context.Context, string, string) (Login, error) {
	return Login{Username: "user", Password: "secret-password", From: "auth.json"}, nil
}

func TestBearer(t *testing.T) {
	for name, challenge := range map[string]func(string) []string{
		"plain":              plainBearer,
		"after another line": func(realm string) []string { return append([]string{"Negotiate"}, plainBearer(realm)...) },
		"after Basic":        func(realm string) []string { return append([]string{`Basic realm="a, b"`}, plainBearer(realm)...) },
		"second in one line": func(realm string) []string { return []string{`Basic realm="a, Bearer b", ` + plainBearer(realm)[0]} },
		"before Basic":       func(realm string) []string { return []string{plainBearer(realm)[0] + `, Basic realm="x"`} },
		"two realms": func(realm string) []string {
			return []string{`Bearer realm="` + realm + `",realm="http://10.0.0.1/"`}
		},
		"lower case, no more": func(realm string) []string { return []string{`bearer realm="` + realm + `"`} },
		"other scope": func(realm string) []string {
			return []string{`Bearer realm="` + realm + `",scope="repository:library/ubuntu:pull,push repository:x:pull"`}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearer(t, challenge)
			c := client(t, b.registry.URL)
			for range 3 {
				if _, err := fetchBlob(t, c, 0, 16); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(b.tokensSeen.requests()); n != 1 {
				t.Errorf("%d tokens for 3 requests", n)
			}
			if n := len(b.registrySeen.requests()); n != 4 {
				t.Errorf("%d requests, want one refused and 3", n)
			}
			query := b.tokensSeen.requests()[0].URL.Query()
			if query.Get("account") != "x" || !strings.HasPrefix(query.Get("scope"), "repository:library/ubuntu:pull") {
				t.Errorf("token asked for with %v", query)
			}
		})
	}
}

func TestTokenExpires(t *testing.T) {
	b := newBearer(t, plainBearer)
	c := client(t, b.registry.URL)
	for range 3 {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := fetchBlob(t, c, 0, 16); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		b.generation.Add(1)
	}
	if n := len(b.tokensSeen.requests()); n != 3 {
		t.Errorf("%d tokens for 3 generations", n)
	}
}

func TestBearerCredentials(t *testing.T) {
	b := newBearer(t, plainBearer)
	var asked atomic.Value
	c := client(t, b.registry.URL, func(cfg *Config) {
		cfg.Header = http.Header{"X-Mirror-Key": {"k"}}
		cfg.Login = func(ctx context.Context, host, repository string) (Login, error) {
			asked.Store(host + "/" + repository)
			return login(ctx, host, repository)
		}
	})
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != strings.TrimPrefix(b.registry.URL, "http://")+"/library/ubuntu" {
		t.Errorf("credentials of %v", asked.Load())
	}
	req := b.tokensSeen.requests()[0]
	if user, password, _ := req.BasicAuth(); user != "user" || password != "secret-password" {
		t.Errorf("token server got %q %q", user, password)
	}
	if req.Header.Get("X-Mirror-Key") != "" {
		t.Error("token server got the mirror's header")
	}
	if req.Host != strings.TrimPrefix(b.tokens.URL, "http://") {
		t.Errorf("Host %q", req.Host)
	}
}

func TestIdentityToken(t *testing.T) {
	b := newBearer(t, plainBearer)
	b.tokens.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost || req.PostFormValue("refresh_token") != "identity" || req.PostFormValue("client_id") != "segpull" {
			t.Errorf("%s %v", req.Method, req.PostForm)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": b.token()})
	})
	c := client(t, b.registry.URL, func(cfg *Config) {
		cfg.Login = func(context.Context, string, string) (Login, error) {
			return Login{IdentityToken: "identity"}, nil
		}
	})
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
}

// A token server may repeat what it was sent, in a refusal or without a token.
func TestIdentityTokenIsInNoMessage(t *testing.T) {
	for _, status := range []int{400, 401, 200} {
		b := newBearer(t, plainBearer)
		b.tokens.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":"bad token %s"}`, req.PostFormValue("refresh_token"))
		})
		c := client(t, b.registry.URL, func(cfg *Config) {
			cfg.Login = func(context.Context, string, string) (Login, error) {
				return Login{IdentityToken: "secret-identity"}, nil
			}
		})
		_, err := fetchBlob(t, c, 0, 16)
		if e := asError(t, err); strings.Contains(e.Error(), "secret-identity") || !strings.Contains(e.Error(), "bad token …") {
			t.Errorf("%d: got %v", status, e)
		}
	}
}

func TestBasic(t *testing.T) {
	server, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if _, password, _ := req.BasicAuth(); password != "secret-password" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(401)
			return
		}
		blobServer(w, req)
	})
	c := client(t, server.URL, func(cfg *Config) { cfg.Login = login })
	if _, err := fetchBlob(t, c, 0, 16); err != nil {
		t.Fatal(err)
	}
	_, err := fetchBlob(t, client(t, server.URL), 0, 16)
	if e := asError(t, err); !e.Refused() || e.Login != "" {
		t.Errorf("anonymous: %v", e)
	}
}

func TestAuthRefused(t *testing.T) {
	for name, test := range map[string]struct {
		tokens  http.HandlerFunc
		refused bool
		busy    bool
		want    string
	}{
		"token server refuses": {text401, true, false, "token http://127.0.0.1"},
		"token server busy":    {status(429, "Retry-After", "7"), false, true, "retry after 7s"},
		"token server lacks":   {status(404), false, false, "404"},
		"no token in it":       {text("application/json", `{"expires_in":60}`), false, false, "without a token"},
		"no JSON":              {text("text/plain", "token"), false, false, "without a token"},
		"web page":             {text("text/html", "<html>log in"), false, false, "without a token: log in"},
		"redirects":            {status(302, "Location", "http://127.0.0.1:1/?password=x"), false, false, "another host"},
		"another token":        {text("application/json", `{"token":"wrong"}`), true, false, "authentication required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBearer(t, plainBearer)
			b.tokens.Config.Handler = test.tokens
			_, err := fetchBlob(t, client(t, b.registry.URL, func(cfg *Config) { cfg.Login = login }), 0, 16)
			e := asError(t, err)
			if e.Refused() != test.refused || e.Busy() != test.busy || e.Missing() || !strings.Contains(e.Error(), test.want) {
				t.Errorf("got %v (refused %v, busy %v, missing %v)", e, e.Refused(), e.Busy(), e.Missing())
			}
			if strings.Contains(e.Error(), "password") {
				t.Errorf("a secret in %v", e)
			}
		})
	}
}

func text401(w http.ResponseWriter, req *http.Request) {
	// Some repeat what they refuse.
	token := strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")
	login, _ := base64.StdEncoding.DecodeString(token)
	http.Error(w, fmt.Sprintf(`{"errors":[{"code":"UNAUTHORIZED","message":"bad login %s %s"}]}`, token, login), http.StatusUnauthorized)
}

func TestCredentialHelperFails(t *testing.T) {
	b := newBearer(t, plainBearer)
	broken := errors.New("docker-credential-x: not found")
	_, err := fetchBlob(t, client(t, b.registry.URL, func(cfg *Config) {
		cfg.Login = func(context.Context, string, string) (Login, error) { return Login{}, broken }
	}), 0, 16)
	if e := asError(t, err); e.Op != "credentials" || !errors.Is(err, broken) {
		t.Errorf("got %v", e)
	}
}

// A registry on https may not name a token server on http; nor may a public
// one name a token server in our network.
func TestTokenServerRules(t *testing.T) {
	tokens, seen := serve(t, false, text("application/json", `{"token":"x"}`))
	secureTokens, secureSeen := serve(t, true, text("application/json", `{"token":"x"}`))
	realm := tokens.URL
	server, _ := serve(t, true, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "Bearer x" {
			blobServer(w, req)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
		w.WriteHeader(401)
	})
	trust := func(cfg *Config) { cfg.TLS = roots(server, secureTokens); cfg.Login = login }

	for _, realm = range []string{tokens.URL, "ftp://x/", "https://", "http://[::1"} {
		if _, err := fetchBlob(t, client(t, server.URL, trust), 0, 16); err == nil {
			t.Errorf("realm %q was asked", realm)
		} else if e := asError(t, err); e.Op != "token" {
			t.Errorf("got %v", e)
		}
	}
	realm = secureTokens.URL
	public := client(t, server.URL, trust)
	pretendPublic(public)
	if _, err := fetchBlob(t, public, 0, 16); !errors.Is(err, ErrPrivateStorage) {
		t.Errorf("got %v", err)
	}
	if n := len(seen.requests()) + len(secureSeen.requests()); n != 0 {
		t.Fatalf("%d requests to token servers", n)
	}

	// On premises both are internal, under different names.
	internal := client(t, strings.Replace(server.URL, "127.0.0.1", "example.com", 1), trust)
	internal.transport.connect = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return newDialer().DialContext(ctx, network, strings.TrimPrefix(server.URL, "https://"))
	}
	if _, err := fetchBlob(t, internal, 0, 16); err != nil {
		t.Errorf("internal: %v", err)
	}
}

// A registry behind a TLS front may name its own token server by http, as it
// hears of no other scheme. It is asked by https, and no other host's is.
func TestTokenServerOfAFrontIsAskedByHTTPS(t *testing.T) {
	var realm string
	server, _ := serve(t, true, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			text("application/json", `{"token":"x"}`)(w, req)
		case req.Header.Get("Authorization") == "Bearer x":
			blobServer(w, req)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
			w.WriteHeader(401)
		}
	})
	trust := func(cfg *Config) { cfg.TLS = roots(server); cfg.Login = login }
	realm = strings.Replace(server.URL, "https://", "http://", 1) + "/token"
	if _, err := fetchBlob(t, client(t, server.URL, trust), 0, 16); err != nil {
		t.Errorf("%s: %v", realm, err)
	}
	realm = "http://tokens.test/token"
	_, err := fetchBlob(t, client(t, server.URL, trust), 0, 16)
	if e := asError(t, err); !e.Permanent() || !strings.Contains(e.Error(), "ask the operator of the registry to use https") {
		t.Errorf("%s: %v", realm, e)
	}
}

// pretendPublic makes the host of c look as if it were dialed at a public
// address.
func pretendPublic(c *Client) {
	c.transport.connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := newDialer().DialContext(ctx, network, addr)
		return publicConn{conn}, err
	}
}

type publicConn struct{ net.Conn }

func (publicConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(1, 1, 1, 1), Port: 443} }

// Whoever happens to fetch the token may be cancelled, and the others that
// wait for the same token must not notice.
func TestTokenOutlivesItsFirstAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := new(tokenCache)
		first, cancel := context.WithCancel(t.Context())
		fetch := func(ctx context.Context) (*grant, error) {
			time.Sleep(time.Second)
			return &grant{header: "Bearer token"}, ctx.Err()
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := cache.fetch(first, target{}, "", fetch); !errors.Is(err, context.Canceled) {
				t.Errorf("the first got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			g, err := cache.fetch(t.Context(), target{}, "", func(context.Context) (*grant, error) {
				t.Error("fetched twice")
				return nil, nil
			})
			if err != nil || g.header != "Bearer token" {
				t.Errorf("the second got %v, %v", g, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestChooseChallenge(t *testing.T) {
	for _, test := range []struct {
		lines  []string
		scheme string // "" for none
		realm  string
	}{
		{nil, "", ""},
		{[]string{"Negotiate", "NTLM"}, "", ""},
		{[]string{`Basic realm="x"`}, "basic", "x"},
		{[]string{"Basic"}, "basic", ""},
		{[]string{`Negotiate, Basic realm="x"`}, "basic", "x"},
		{[]string{`Negotiate YII=, Basic realm=x`}, "basic", "x"},
		{[]string{`Basic realm="x"`, `BEARER realm="y"`}, "bearer", "y"},
		{[]string{`Digest realm="a\", Bearer b", Bearer realm="y",scope="a:pull,push"`}, "bearer", "y"},
		{[]string{`Digest realm="unclosed, Bearer realm=`}, "", ""},
		{[]string{`Bearerish realm="x"`}, "", ""},
		{[]string{`Bearer realm=https://tokens.test/token,service=registry`}, "bearer", "https://tokens.test/token"},
		{[]string{`Bearer realm = "y" , service = "z"`}, "bearer", "y"},
		{[]string{`Bearer service="z"`, `Basic realm="x"`}, "basic", "x"},
	} {
		c, ok := chooseChallenge(test.lines)
		if ok != (test.scheme != "") || c.scheme != test.scheme || c.params["realm"] != test.realm {
			t.Errorf("%q: got %v", test.lines, c)
		}
	}
}

// Some front ends compress what they are asked to leave as it is.
func TestCompressedAnswersAreRead(t *testing.T) {
	compressed := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			zip := gzip.NewWriter(w)
			_, _ = zip.Write([]byte(body))
			_ = zip.Close()
		}
	}
	b := newBearer(t, plainBearer)
	b.tokens.Config.Handler = compressed(200, `{"token":"`+b.token()+`"}`)
	if _, err := fetchBlob(t, client(t, b.registry.URL), 0, 16); err != nil {
		t.Errorf("a token: %v", err)
	}
	server, _ := serve(t, false, compressed(412, `{"errors":[{"code":"POLICY","message":"not allowed"}]}`))
	if e := get(t, client(t, server.URL)); e.Code != "POLICY" || e.Message != "not allowed" {
		t.Errorf("an error: %v", e)
	}
}

func TestOldTLSIsPermanent(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(blobServer))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.StartTLS()
	defer server.Close()
	if e := get(t, client(t, server.URL)); !e.Permanent() {
		t.Errorf("got %v", e)
	}
}
