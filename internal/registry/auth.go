package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"oras.land/oras-go/v2/registry/remote/auth"
)

const maxTokenBytes = 128 << 10 // twice a token of 64 KiB: it may be given under two names

// named makes the errors of a credential source ours.
func named(source string, find auth.CredentialFunc) auth.CredentialFunc {
	if find == nil {
		return nil
	}
	return func(ctx context.Context, hostport string) (auth.Credential, error) {
		credential, err := find(ctx, hostport)
		if err != nil {
			return credential, &Error{Op: "credentials", Source: source, Where: "for " + hostport, Err: seal(err)}
		}
		return credential, nil
	}
}

// authTransport stands between oras' client and the network.
//
// The challenge: oras reads the first one of the first header line. Hosts send
// several (RFC 9110, section 11.6.1), so the best one is put there.
//
// The token server: oras refuses every one that resolves to an internal
// address, as it does on premises beside a registry that is internal itself
// (GitLab), and where DNS lies but a proxy would be used. The rules here are:
// https, unless the host itself is http; no internal address for a host that
// is public, which the dialer sees to. So oras is shown a token server on the
// host itself, and its request goes to the true one.
type authTransport struct {
	next   http.RoundTripper
	base   *url.URL
	source string
}

func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if realm, _ := req.Context().Value(realmKey{}).(*url.URL); realm != nil {
		return t.fetchToken(req, realm)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	challenge := chooseChallenge(resp.Header.Values("WWW-Authenticate"))
	if m := realmParam.FindStringSubmatch(challenge); m != nil && isBearer(challenge) {
		realm, err := t.tokenServer(m[1])
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		attemptOf(req.Context()).realm = realm
		// In every place: of two realms, oras takes the last.
		challenge = realmParam.ReplaceAllLiteralString(challenge, `realm="`+origin(t.base)+`"`)
	} else if isBearer(challenge) {
		challenge = "" // names no token server: the 401 stands
	}
	resp.Header.Set("WWW-Authenticate", challenge)
	return resp, nil
}

var realmParam = regexp.MustCompile(`(?i)\brealm\s*=\s*"([^"\\]*)"`)

func (t *authTransport) tokenServer(realm string) (*url.URL, error) {
	u, err := t.base.Parse(realm)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, t.fault(t.base, errors.New("the host names no usable token server"))
	case u.Scheme == "http" && t.base.Scheme == "https":
		return nil, t.fault(u, errors.New("refused: a host on https names this token server on http"))
	}
	u.User = nil
	return u, nil
}

// fetchToken sends oras' request to the true token server, and answers with a
// token or an *Error. Redirects are not followed: they would carry credentials
// along, or lose them.
func (t *authTransport) fetchToken(req *http.Request, realm *url.URL) (*http.Response, error) {
	u := *realm
	query := u.Query()
	for key, values := range req.URL.Query() {
		query[key] = values
	}
	u.RawQuery = query.Encode()
	req = req.Clone(req.Context())
	req.URL, req.Host = &u, u.Host
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, t.fault(&u, bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal("token", t.source, origin(&u), resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenBytes))
	if err != nil {
		return nil, t.fault(&u, err)
	}
	var token struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if isWebPage(resp.Header, body) {
		return nil, t.fault(&u, errWebPage)
	}
	if json.Unmarshal(body, &token) != nil || token.Token+token.AccessToken == "" {
		return nil, t.fault(&u, errors.New("answered without a token"))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (t *authTransport) fault(at *url.URL, err error) *Error {
	return &Error{Op: "token", Source: t.source, Where: origin(at), Err: seal(err)}
}
