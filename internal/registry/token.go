package registry

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	maxTokens     = 1000 // repositories asked for; more start over
	tokenPatience = 30 * time.Second
)

// attempt is what one request knows of its own authorization. It travels in
// the request's context, which is all that oras' client hands to both its
// cache and its transport.
type attempt struct {
	token string   // what the request was sent with
	realm *url.URL // the token server that the host named, answering it
}

type (
	attemptKey struct{}
	realmKey   struct{} // marks a request for a token
)

func withAttempt(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, new(attempt))
}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// tokenCache keeps the tokens of one host, one for each hinted scope, that is
// for each repository. Unlike auth.NewCache it
//
//   - fetches apart from the context of who happened to ask first, whose
//     cancellation would else fail all who wait with it;
//   - knows which token was refused, so that of many requests that find it
//     expired only one fetches another;
//   - ignores scopes that the host adds to those hinted, under which the next
//     request could not find its token.
type tokenCache struct {
	flight singleflight.Group
	mu     sync.Mutex
	scheme auth.Scheme
	tokens map[string]string
}

var errNoToken = errors.New("no token yet")

func (c *tokenCache) GetScheme(context.Context, string) (auth.Scheme, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scheme == auth.SchemeUnknown {
		return c.scheme, errNoToken
	}
	return c.scheme, nil
}

func (c *tokenCache) GetToken(ctx context.Context, _ string, scheme auth.Scheme, _ string) (string, error) {
	token, ok := c.fresh(ctx, scheme)
	if !ok {
		return "", errNoToken
	}
	attemptOf(ctx).token = token
	return token, nil
}

// fresh returns the token for ctx unless it is the one already tried.
func (c *tokenCache) fresh(ctx context.Context, scheme auth.Scheme) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	token, ok := c.tokens[hint(ctx)]
	return token, ok && c.scheme == scheme && token != attemptOf(ctx).token
}

func (c *tokenCache) Set(ctx context.Context, _ string, scheme auth.Scheme, _ string, get func(context.Context) (string, error)) (string, error) {
	if token, ok := c.fresh(ctx, scheme); ok {
		return token, nil
	}
	done := c.flight.DoChan(scheme.String()+" "+hint(ctx), func() (any, error) {
		if token, ok := c.fresh(ctx, scheme); ok { // one flight has just landed
			return token, nil
		}
		own := context.WithValue(context.WithoutCancel(ctx), realmKey{}, attemptOf(ctx).realm)
		own, cancel := context.WithTimeoutCause(own, tokenPatience, silence(tokenPatience))
		defer cancel()
		token, err := get(own)
		if err == nil {
			c.keep(hint(ctx), scheme, token)
		}
		return token, err
	})
	select {
	case r := <-done:
		return r.Val.(string), r.Err
	case <-ctx.Done():
		return "", ended(ctx)
	}
}

func (c *tokenCache) keep(hint string, scheme auth.Scheme, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scheme != scheme || len(c.tokens) >= maxTokens {
		c.scheme, c.tokens = scheme, make(map[string]string)
	}
	c.tokens[hint] = token
}

func hint(ctx context.Context) string { return strings.Join(auth.GetScopes(ctx), " ") }
