package registry

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Login is the login that is stored for a registry. The zero Login means an anonymous client.
type Login struct {
	Username, Password string
	// IdentityToken is an OAuth 2 refresh token.
	IdentityToken string
	// RegistryToken is a bearer token to send unchanged.
	RegistryToken string
	// From is where the login is stored, for messages.
	From string
}

func (l Login) empty() bool {
	return l.Username == "" && l.Password == "" && l.IdentityToken == "" && l.RegistryToken == ""
}

// authorizer sends requests to hosts with the credentials that the hosts require: a
// token, or a user name and a password. A host gets the login that is stored for
// it, and no other.
type authorizer struct {
	source   string
	login    func(ctx context.Context, host, repository string) (Login, error)
	warn     func(message string)
	warned   *sync.Map // messages that warn got
	push     bool      // tokens permit to push
	tokens   *tokenCache
	greeting *greeting
	next     http.RoundTripper
}

func newAuthorizer(cfg Config) authorizer {
	return authorizer{source: cfg.Name, push: cfg.Push, login: cfg.Login, warn: cfg.Warn, warned: new(sync.Map), tokens: new(tokenCache), greeting: &greeting{turn: semaphore.NewWeighted(1)}}
}

// over returns an authorizer that shares what a knows, and sends by next.
func (a authorizer) over(next http.RoundTripper) authorizer {
	a.next = next
	return a
}

// target describes where a request goes, for its authorization.
type target struct {
	scheme, host string // host[:port], the key of stored logins
	repository   string // as the host calls it
	greet        string // the URL to ask for a challenge, "" for none
	noLogin      bool   // no login may go there
}

func (t target) origin() string { return t.scheme + "://" + t.host }

// grant is the authorization of a request.
type grant struct {
	header string // the value of Authorization
	login  Login  // the login for which the host gave it; the zero Login for anonymous clients
	offer  challenge
}

// do sends req, and sends it again with the credentials that the host requires. If
// the host refuses all of them, do returns its last refusal, and as refused the
// login that did not help, if it sent one.
func (a *authorizer) do(req *http.Request, t target) (resp *http.Response, refused Login, err error) {
	n := negotiation{auth: a, target: t, triedLogin: t.noLogin}
	used := a.tokens.get(t)
	for range maxSends {
		resp, err = a.send(req, used)
		if err != nil {
			return nil, Login{}, err
		}
		if !n.refusal(resp, used) {
			n.conclude(used, resp)
			return resp, n.refused, nil
		}
		next, err := n.next(req.Context(), resp, used)
		if err != nil {
			return nil, Login{}, err
		}
		if next == nil {
			a.tokens.drop(t, used, resp)
			break
		}
		used = next
	}
	return resp, n.refused, nil
}

// maxSends bounds how often a request is sent: without a login, with a token
// that has expired, with one for the login, with an anonymous one.
const maxSends = 4

func (a *authorizer) warnOnce(message string) {
	if _, known := a.warned.LoadOrStore(message, true); !known {
		a.warn(message)
	}
}

func (a *authorizer) send(req *http.Request, g *grant) (*http.Response, error) {
	if g != nil || req.GetBody != nil {
		req = req.Clone(req.Context())
	}
	if req.GetBody != nil { // an earlier request may have used it
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	if g != nil {
		req.Header.Set("Authorization", g.header)
	}
	return a.next.RoundTrip(req)
}

// greetingTimeout is the most time for the answer to /v2/.
const greetingTimeout = 10 * time.Second

// greeting is the challenge that the source's own host sends at /v2/, which is
// requested once.
type greeting struct {
	turn  *semaphore.Weighted // a mutex that can be waited for with a context
	asked bool                // guarded by turn, like the fields below
	found challenge
	ok    bool
}

// offer returns the challenge of /v2/, and whether there is one.
func (g *greeting) offer(ctx context.Context, transport http.RoundTripper, url string) (challenge, bool) {
	if g.turn.Acquire(ctx, 1) != nil {
		return challenge{}, false
	}
	defer g.turn.Release(1)
	if !g.asked {
		patient, cancel := context.WithTimeout(ctx, greetingTimeout)
		defer cancel()
		g.ask(patient, transport, url)
		g.asked = g.asked || patient.Err() != nil && ctx.Err() == nil // a silent host has none
	}
	return g.found, g.ok
}

func (g *greeting) ask(ctx context.Context, transport http.RoundTripper, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	g.asked = true
	g.found, g.ok = chooseChallenge(resp.Header.Values("WWW-Authenticate"))
	g.ok = g.ok && resp.StatusCode == http.StatusUnauthorized
}
