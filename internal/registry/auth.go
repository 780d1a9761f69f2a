package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// Login is what is stored for a registry. The zero Login is that of a stranger.
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
	tokens   *tokenCache
	greeting *greeting
	next     http.RoundTripper
}

func newAuthorizer(cfg Config) authorizer {
	return authorizer{source: cfg.Name, login: cfg.Login, warn: cfg.Warn, tokens: new(tokenCache), greeting: &greeting{turn: semaphore.NewWeighted(1)}}
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
	login  Login  // that it was given for; the zero Login for strangers
	offer  challenge
}

// do sends req, and sends it again with what the host asks for. A refusal is
// the host's last word; refused is then the login that did not help, if one
// was sent.
func (a *authorizer) do(req *http.Request, t target) (resp *http.Response, refused Login, err error) {
	n := negotiation{authorizer: a, target: t, triedLogin: t.stranger}
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

// maxSends bounds how often a request is sent: as a stranger, with a token
// that has expired, with one for the login, with one for strangers.
const maxSends = 4

func (a *authorizer) send(req *http.Request, g *grant) (*http.Response, error) {
	if g != nil {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", g.header)
	}
	return a.next.RoundTrip(req)
}

// negotiation finds what a host accepts for one request: first the stored
// login, then what it gives to strangers.
type negotiation struct {
	*authorizer
	target        target
	triedLogin    bool
	triedStranger bool
	refused       Login // the login that did not help
}

// refusal reports whether authorization could change resp. Some hosts hide
// what strangers may not see: by 403, or by 404.
func (n *negotiation) refusal(resp *http.Response, used *grant) bool {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		return used != nil || n.target.greet != ""
	case http.StatusNotFound:
		return used == nil && n.target.greet != ""
	}
	return false
}

// next returns what to send the request with after resp refused it; nil if
// nothing is left to try.
func (n *negotiation) next(ctx context.Context, resp *http.Response, used *grant) (*grant, error) {
	offer, ok := chooseChallenge(resp.Header.Values("WWW-Authenticate"))
	switch {
	case !ok && used != nil:
		offer, ok = used.offer, true
	case !ok && n.target.greet != "":
		offer, ok = n.greeting.offer(ctx, n.authorizer.next, n.target.greet)
	}
	if !ok {
		return nil, nil
	}
	if newer := n.tokens.get(n.target); newer != nil && newer != used {
		return newer, nil // another request has fetched it meanwhile
	}
	n.mark(resp, used)
	next, err := n.obtain(ctx, offer)
	if err != nil && resp.StatusCode != http.StatusUnauthorized && ctx.Err() == nil {
		return nil, nil // the host did not ask for it: its refusal says more
	}
	return next, err
}

// mark notes what the refusal of used says: a token that this request fetched
// is of no use, and neither is one that is known (401 would mean expired) but
// may not see this.
func (n *negotiation) mark(resp *http.Response, used *grant) {
	switch {
	case used == nil:
	case used.login.empty():
		n.triedStranger = n.triedStranger || resp.StatusCode == http.StatusForbidden
	default:
		n.triedLogin = n.triedLogin || resp.StatusCode == http.StatusForbidden
		if n.triedLogin {
			n.refused = used.login
		}
	}
}

// obtain answers the challenge with the login, and where that is refused as a
// stranger.
func (n *negotiation) obtain(ctx context.Context, offer challenge) (*grant, error) {
	var failure error
	if !n.triedLogin {
		n.triedLogin = true
		login, err := n.login(ctx, n.target.host, n.target.repository)
		if err != nil {
			return nil, &Error{Op: "credentials", Source: n.source, Where: "for " + n.target.host, Err: seal(err)}
		}
		if !login.empty() {
			g, err := n.grant(ctx, offer, login)
			if err == nil || !refusedBy(err) {
				return g, err
			}
			n.refused, failure = login, err
		}
	}
	if n.triedStranger || offer.scheme == "basic" {
		return nil, failure
	}
	n.triedStranger = true
	g, err := n.grant(ctx, offer, Login{})
	if err != nil && failure != nil {
		err = failure
	}
	return g, err
}

// grant answers a challenge with a login, or as a stranger.
func (n *negotiation) grant(ctx context.Context, offer challenge, login Login) (*grant, error) {
	switch {
	case offer.scheme == "basic":
		pair := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
		return n.keep(&grant{"Basic " + pair, login, offer}), nil
	case login.RegistryToken != "":
		return n.keep(&grant{"Bearer " + login.RegistryToken, login, offer}), nil
	}
	return n.tokens.fetch(ctx, n.target, login.From, func(ctx context.Context) (*grant, error) {
		token, err := n.fetchToken(ctx, n.target, offer, login)
		if err != nil {
			return nil, withLogin(err, login) // before others see it
		}
		return n.keep(&grant{"Bearer " + token, login, offer}), nil
	})
}

// keep remembers a grant for the requests to come, unless it is a stranger's
// that stands in for a login: what it is good for is not known yet.
func (n *negotiation) keep(g *grant) *grant {
	if n.refused.empty() {
		n.tokens.set(n.target, g)
	}
	return g
}

// conclude remembers what the host accepted, and reports a login that it did
// not.
func (n *negotiation) conclude(used *grant, resp *http.Response) {
	if n.refused.empty() || used == nil || resp.StatusCode >= 400 {
		return
	}
	n.tokens.set(n.target, used)
	n.warn(fmt.Sprintf("%s refuses the login that is stored in %s; the image is public and is pulled without it: run docker login %[1]s or docker logout %[1]s",
		n.target.host, n.refused.From))
	n.refused = Login{}
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
