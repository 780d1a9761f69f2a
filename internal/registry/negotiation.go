package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
)

// negotiation finds what a host accepts for one request: first the stored
// login, then what it gives to anonymous clients.
type negotiation struct {
	auth          *authorizer
	target        target
	triedLogin    bool
	triedStranger bool
	used          *grant // that the last request was sent with; nil: none
	refused       Login  // the login that did not help
}

// refusal reports whether authorization could change resp. Some hosts hide
// what anonymous clients may not see: by 403, or by 404.
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
		offer, ok = n.auth.greeting.offer(ctx, n.auth.next, n.target.greet)
	}
	if !ok {
		return nil, nil
	}
	if newer := n.auth.tokens.get(n.target); newer != nil && newer != used {
		return newer, nil // another request has fetched it meanwhile
	}
	n.used = used
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

// obtain answers the challenge with the login, and where that is refused,
// anonymously.
func (n *negotiation) obtain(ctx context.Context, offer challenge) (*grant, error) {
	var failure error
	if !n.triedLogin {
		n.triedLogin = true
		login, err := n.auth.login(ctx, n.target.host, n.target.repository)
		if err != nil {
			return nil, &Error{Op: "credentials", Source: n.auth.source, Where: "for " + n.target.host, Err: seal(err)}
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

// grant answers a challenge with a login, or anonymously.
func (n *negotiation) grant(ctx context.Context, offer challenge, login Login) (*grant, error) {
	switch {
	case offer.scheme == "basic":
		pair := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
		return n.keep(&grant{"Basic " + pair, login, offer}), nil
	case login.RegistryToken != "":
		return n.keep(&grant{"Bearer " + login.RegistryToken, login, offer}), nil
	}
	return n.auth.tokens.fetch(ctx, n.target, login.From, func(ctx context.Context) (*grant, error) {
		if g := n.auth.tokens.get(n.target); g != nil && g != n.used && g.login == login {
			return g, nil // another request has just fetched it
		}
		token, err := n.auth.fetchToken(ctx, n.target, offer, login)
		if err != nil {
			return nil, withLogin(err, login) // before others see it
		}
		return n.keep(&grant{"Bearer " + token, login, offer}), nil
	})
}

// keep keeps a grant for later requests, unless it is an anonymous one in place of
// a login: which requests it allows is not known yet.
func (n *negotiation) keep(g *grant) *grant {
	if n.refused.empty() {
		n.auth.tokens.set(n.target, g)
	}
	return g
}

// conclude remembers what the host accepted, and reports a login that it did
// not.
func (n *negotiation) conclude(used *grant, resp *http.Response) {
	if n.refused.empty() || used == nil || resp.StatusCode >= 400 {
		return
	}
	n.auth.tokens.set(n.target, used)
	n.auth.warnOnce(fmt.Sprintf("%s refuses the login that is stored in %s; the image is public, so segpull pulls it without a login: run docker login %[1]s or docker logout %[1]s",
		n.target.host, n.refused.From))
	n.refused = Login{}
}
