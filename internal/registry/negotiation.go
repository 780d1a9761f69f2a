package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
)

// negotiation finds credentials that a host accepts for one request: first those of
// the stored login, then those of an anonymous client.
type negotiation struct {
	auth           *authorizer
	target         target
	triedLogin     bool
	triedAnonymous bool
	used           *grant // of the last request; nil: none
	refused        Login  // the login that did not help
}

// refusal reports whether authorization could change resp. Some hosts answer 403 or
// 404 to anonymous clients in place of 401.
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

// next returns the grant for the next request after resp refused the last one; nil if
// there is none left.
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
		return newer, nil // another request has fetched it
	}
	n.used = used
	n.mark(resp, used)
	next, err := n.obtain(ctx, offer)
	if err != nil && resp.StatusCode != http.StatusUnauthorized && ctx.Err() == nil {
		return nil, nil // the host required no login: its refusal says more
	}
	return next, err
}

// mark records that a new request with the login, or without one, is useless: after a
// 403, the host knows the grant and refuses it (after a 401, it may have expired).
func (n *negotiation) mark(resp *http.Response, used *grant) {
	switch {
	case used == nil:
	case used.login.empty():
		n.triedAnonymous = n.triedAnonymous || resp.StatusCode == http.StatusForbidden
	default:
		n.triedLogin = n.triedLogin || resp.StatusCode == http.StatusForbidden
		if n.triedLogin {
			n.refused = used.login
		}
	}
}

// obtain answers the challenge with the login or, if that is refused, as an anonymous
// client.
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
	if n.triedAnonymous || offer.scheme == "basic" {
		return nil, failure
	}
	n.triedAnonymous = true
	g, err := n.grant(ctx, offer, Login{})
	if err != nil && failure != nil {
		err = failure
	}
	return g, err
}

// grant answers a challenge with a login, or as an anonymous client.
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

// keep stores a grant for later requests, unless it is that of an anonymous client in
// place of a login: whether other requests may use it is unknown.
func (n *negotiation) keep(g *grant) *grant {
	if n.refused.empty() {
		n.auth.tokens.set(n.target, g)
	}
	return g
}

// conclude stores the grant that the host accepted, and reports a login that it did
// not accept.
func (n *negotiation) conclude(used *grant, resp *http.Response) {
	if n.refused.empty() || used == nil || resp.StatusCode >= 400 {
		return
	}
	n.auth.tokens.set(n.target, used)
	n.auth.warnOnce(fmt.Sprintf("%s refuses the login that is stored in %s; the image is public, so segpull pulls it without a login: run docker login %[1]s or docker logout %[1]s",
		n.target.host, n.refused.From))
	n.refused = Login{}
}
