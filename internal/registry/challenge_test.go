package registry

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// challenger is the network of a host that answers every request with its
// challenges, until one comes with the token that its token server gives out.
type challenger struct {
	lines  []string
	answer string // of the token server, whichever it is
	seen   []*http.Request
}

func (c *challenger) RoundTrip(req *http.Request) (*http.Response, error) {
	c.seen = append(c.seen, req)
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
	switch {
	case req.URL.Host != "registry.test" || !strings.HasPrefix(req.URL.Path, "/v2/"):
		resp.Body = io.NopCloser(strings.NewReader(c.answer))
	case !strings.HasPrefix(req.Header.Get("Authorization"), "Bearer "):
		resp.StatusCode = http.StatusUnauthorized
		resp.Header["Www-Authenticate"] = c.lines
	}
	return resp, nil
}

// Whatever a host on https asks for, and its token server answers: requests
// stay on https, a password goes nowhere but to the two of them, a token to the
// host alone, and it ends.
func FuzzChallenge(f *testing.F) {
	token := `{"token":"secret-token","expires_in":0}`
	for _, seed := range [][3]string{
		{`Bearer realm="https://tokens.test/t?account=x",service="registry.test",scope="repository:a/b:pull,push"`, "", token},
		{`Basic realm="a, Bearer b"`, `bearer REALM = "https://tokens.test"`, token},
		{`Bearer realm="https://tokens.test/",realm="http://10.0.0.1/"`, `Negotiate`, token},
		{`Bearer service="\" realm=",realm="https://tokens.test/"`, "", `{"access_token":"x","token":1}`},
		{`Bearer realm="http://tokens.test/"`, `Bearer`, token},
		{`Bearer realm="https://user:password@tokens.test"`, "", "<html>"},
		{`Bearer realm="//tokens.test"`, "", `{"token":"a\r\nb"}`},
		{`Bearer realm="/v2/"`, "", strings.Repeat(`{"token":`, 20000)},
		{`Basic`, `Bearer realm="https://[::1"`, ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	home := newHome(&url.URL{Scheme: "https", Host: "registry.test"}, "", "")
	f.Fuzz(func(t *testing.T, first, second, answer string) {
		network := &challenger{lines: []string{first, second}, answer: answer}
		auth := newAuthorizer(Config{Name: "mirror", Login: login, Warn: func(string) {}})
		o := &opener{auth: auth.over(blobRetries.over(network)), home: home}
		c := &Client{name: "mirror", home: home, manifests: o}
		r, err := o.follow(t.Context(), "", c.endpoint("a/b", "blobs", "x"), http.Header{})
		if len(network.seen) > 5 {
			t.Errorf("%d requests", len(network.seen))
		}
		for _, req := range network.seen {
			own := req.URL.Host == home.url().Host
			authorization := req.Header.Get("Authorization")
			if req.URL.Scheme != "https" || req.URL.User != nil || !own && strings.HasPrefix(authorization, "Bearer ") {
				t.Errorf("%v was asked with %q", req.URL, authorization)
			}
		}
		if err != nil {
			c.scheme.answered.Store(true)
			e := c.failure(t.Context(), "blob", r.at, err)
			if text := e.Error(); strings.ContainsAny(text, "\n\x1b") || strings.Contains(text, "secret-password") || len(text) > 2000 {
				t.Errorf("said %q", text)
			}
			return
		}
		r.Body.Close()
	})
}
