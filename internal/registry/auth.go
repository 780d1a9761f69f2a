package registry

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Login is what is stored for a registry. The zero Login is that of an anonymous client.
type Login struct {
	Username, Password string
	// IdentityToken is an OAuth 2 refresh token.
	IdentityToken string
	// RegistryToken is a bearer token to send as it is.
	RegistryToken string
	// From is where the login is stored, for messages.
	From string
}

func (l Login) empty() bool {
	return l.Username == "" && l.Password == "" && l.IdentityToken == "" && l.RegistryToken == ""
}

// authorizer sends requests to hosts, with what the hosts ask for: a token, or
// a user name and password. A host gets the login that is stored for it, and
// no other.
type authorizer struct {
	source   string
	login    func(ctx context.Context, host, repository string) (Login, error)
	warn     func(message string)
	warned   *sync.Map // messages that warn got
	tokens   *tokenCache
	greeting *greeting
	next     http.RoundTripper
}

func newAuthorizer(cfg Config) authorizer {
	return authorizer{source: cfg.Name, login: cfg.Login, warn: cfg.Warn, warned: new(sync.Map), tokens: new(tokenCache), greeting: &greeting{turn: semaphore.NewWeighted(1)}}
}

// over returns an authorizer that shares what a knows, and sends by next.
func (a authorizer) over(next http.RoundTripper) authorizer {
	a.next = next
	return a
}

// target is where a request goes, as far as authorization is concerned.
type target struct {
	scheme, host string // host[:port], as logins are stored under
	repository   string // as the host calls it
	greet        string // the URL to ask for a challenge, "" for none
	stranger     bool   // no login may go there
}

func (t target) origin() string { return t.scheme + "://" + t.host }

// grant is what a request is sent with.
type grant struct {
	header string // the value of Authorization
	login  Login  // that it was given for; the zero Login for anonymous clients
	offer  challenge
}

// do sends req, and sends it again with what the host asks for. A refusal is
// the host's last word; refused is then the login that did not help, if one
// was sent.
func (a *authorizer) do(req *http.Request, t target) (resp *http.Response, refused Login, err error) {
	n := negotiation{auth: a, target: t, triedLogin: t.stranger}
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
	if g != nil {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", g.header)
	}
	return a.next.RoundTrip(req)
}

// greetingPatience is how long the host may take to say what it asks for.
const greetingPatience = 10 * time.Second

// greeting is what the source's own host asks for at /v2/. It is asked once.
type greeting struct {
	turn  *semaphore.Weighted // a mutex that can be waited for with a context
	asked bool                // guarded by turn, as what follows
	found challenge
	ok    bool
}

// offer returns the challenge of /v2/, false if there is none.
func (g *greeting) offer(ctx context.Context, transport http.RoundTripper, url string) (challenge, bool) {
	if g.turn.Acquire(ctx, 1) != nil {
		return challenge{}, false
	}
	defer g.turn.Release(1)
	if !g.asked {
		patient, cancel := context.WithTimeout(ctx, greetingPatience)
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
