package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/segpull/segpull/internal/readable"
)

const (
	maxTokens     = 1000      // grants to keep; one more removes all
	maxTokenBytes = 128 << 10 // twice a token of 64 KiB: it may be given under two names
	tokenTimeout  = 30 * time.Second
	clientID      = "segpull"
)

// tokenCache has the last grant that each host accepted for each repository. The zero
// value is empty and ready to use. It is safe for concurrent use.
type tokenCache struct {
	flight singleflight.Group
	mu     sync.Mutex
	grants map[target]*grant
}

func (c *tokenCache) get(t target) *grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grants[t]
}

func (c *tokenCache) set(t target, g *grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants == nil || len(c.grants) >= maxTokens {
		c.grants = make(map[target]*grant)
	}
	c.grants[t] = g
}

// drop removes a useless grant: 401 means that the host does not know it, or not any
// more.
func (c *tokenCache) drop(t target, g *grant, resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if resp.StatusCode == http.StatusUnauthorized && c.grants[t] == g {
		delete(c.grants, t)
	}
}

// fetch calls get once for all requests that need the same grant at the same time. get
// does not get the context of the first request, whose end must not fail the others.
func (c *tokenCache) fetch(ctx context.Context, t target, login string, get func(context.Context) (*grant, error)) (*grant, error) {
	done := c.flight.DoChan(t.origin()+" "+t.repository+" "+login, func() (any, error) {
		own, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), tokenTimeout, silence(tokenTimeout))
		defer cancel()
		return get(own)
	})
	select {
	case r := <-done:
		g, _ := r.Val.(*grant)
		return g, r.Err
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// fetchToken asks the token server that a challenge names for a token to pull, or to push
// as well (distribution's token and OAuth 2 specifications). Every error is an *Error.
func (a *authorizer) fetchToken(ctx context.Context, t target, offer challenge, login Login) (string, error) {
	u, err := a.tokenServer(t, offer.params["realm"])
	if err != nil {
		return "", err
	}
	query := url.Values{}
	if service := offer.params["service"]; service != "" {
		query.Set("service", service)
	}
	scopes := a.scopes(t, offer)
	if login.IdentityToken != "" {
		query.Set("grant_type", "refresh_token")
		query.Set("refresh_token", login.IdentityToken)
		query.Set("client_id", clientID)
		query.Set("scope", strings.Join(scopes, " "))
		return a.askToken(ctx, http.MethodPost, u, query, Login{})
	}
	for key, values := range u.Query() {
		query[key] = values
	}
	query["scope"] = scopes
	u.RawQuery = query.Encode()
	return a.askToken(ctx, http.MethodGet, u, nil, login)
}

// scopes returns the scopes for a token: to pull or push, and those that the host requires.
func (a *authorizer) scopes(t target, offer challenge) []string {
	var scopes []string
	own := "repository:" + t.repository + ":"
	switch {
	case t.repository == "":
	case a.push:
		scopes = append(scopes, own+"pull,push")
	default:
		scopes = append(scopes, own+"pull")
	}
	for scope := range strings.FieldsSeq(offer.params["scope"]) {
		if a.push && strings.HasPrefix(scope, own) {
			continue
		}
		if scope = readOnly(scope); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// readOnly removes all actions on a repository except pull: a registry may name all
// that it knows.
func readOnly(scope string) string {
	if i := strings.LastIndexByte(scope, ':'); i >= 0 && strings.HasPrefix(scope, "repository:") {
		return scope[:i] + ":pull"
	}
	return scope
}

// tokenServer checks the address of a token server. It has to be an https URL, unless
// the host itself is asked by http. An http URL of the host itself is tried by https:
// the registry may not know of the TLS proxy in front of it.
func (a *authorizer) tokenServer(t target, realm string) (*url.URL, error) {
	base := &url.URL{Scheme: t.scheme, Host: t.host}
	u, err := base.Parse(realm)
	switch {
	case err != nil || !mayName(base, u):
		return nil, a.tokenFault(base, permanent("the host does not name a usable token server"))
	case u.Scheme == "http" && t.scheme == "https" && !strings.EqualFold(u.Hostname(), base.Hostname()):
		return nil, a.tokenFault(u, permanent("segpull refuses it: a host on https names this token server on http; ask the operator of the registry to use https"))
	case u.Scheme == "http" && t.scheme == "https":
		u = secure(u)
	}
	u.User = nil
	return u, nil
}

// secure returns u with https, and with the same port unless that is port 80.
func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	if u.Port() == "80" {
		s.Host = strings.TrimSuffix(u.Host, ":80")
	}
	return &s
}

// askToken sends one request to a token server, and follows redirects only within its
// host: another host must not get the login.
func (a *authorizer) askToken(ctx context.Context, method string, u *url.URL, form url.Values, login Login) (string, error) {
	for range maxHops + 1 {
		resp, err := a.sendForToken(ctx, method, u, form, login)
		if err != nil {
			return "", a.tokenFault(u, bare(err))
		}
		if !redirected(resp) {
			return a.readToken(u, resp)
		}
		resp.Body.Close()
		next, err := u.Parse(resp.Header.Get("Location"))
		switch {
		case err != nil || resp.Header.Get("Location") == "" || !mayName(u, next):
			return "", a.tokenFault(u, errBadLocation)
		case next.Scheme == "http" && u.Scheme == "https":
			next = secure(next)
		}
		upgrade := u.Scheme == "http" && next.Scheme == "https" && strings.EqualFold(next.Hostname(), u.Hostname())
		if !sameOrigin(next, u) && !upgrade {
			return "", a.tokenFault(u, permanent("the token server redirects to "+origin(next)+", which is another host: segpull refuses this"))
		}
		next.User = nil
		u = next
	}
	return "", a.tokenFault(u, errTooManyRedirects)
}

func (a *authorizer) sendForToken(ctx context.Context, method string, u *url.URL, form url.Values, login Login) (*http.Response, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.PostForm = form // not sent; it only hides the secret in errors about the answer
	}
	if !login.empty() {
		req.SetBasicAuth(login.Username, login.Password)
	}
	return a.next.RoundTrip(req)
}

// readToken reads the token server's answer.
func (a *authorizer) readToken(u *url.URL, resp *http.Response) (string, error) {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", refusal("token", a.source, origin(u), resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenBytes))
	if err != nil {
		return "", a.tokenFault(u, err)
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	body = plain(resp.Header, body)
	err = json.Unmarshal(body, &answer)
	if answer.Token+answer.AccessToken == "" {
		return "", a.tokenFault(u, permanent("answered without a token"+hideSecrets(resp.Request, words(body, err))))
	}
	if answer.Token == "" {
		return answer.AccessToken, nil
	}
	return answer.Token, nil
}

// words returns the text of an answer without a token, if it is a page or an error in
// JSON: other answers may be a secret.
func words(body []byte, jsonErr error) string {
	text := readable.Message(body)
	if jsonErr != nil && readable.IsPage(body) {
		text = readable.Text(body)
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

func (a *authorizer) tokenFault(at *url.URL, err error) *Error {
	return &Error{Op: "token", Source: a.source, Where: origin(at), Err: seal(err), final: isPermanent(err)}
}

// refusedBy reports whether err says that the login, or an anonymous client, is refused.
func refusedBy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Op == "token" && (e.StatusCode == http.StatusBadRequest || e.Refused())
}

// withLogin adds to err where the login is stored, if err says that it was refused.
func withLogin(err error, login Login) error {
	if e, ok := errors.AsType[*Error](err); ok && refusedBy(err) {
		e.Login = login.From
	}
	return err
}
