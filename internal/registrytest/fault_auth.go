package registrytest

import (
	"net/http"
	"regexp"
	"strings"
)

// HiddenWithoutChallenge answers with 401, 403 or 404 and no challenge where
// login, which is Basic or Bearer, would challenge; /v2/ alone has the
// challenge. Artifactory does so for private repositories (vmware/vic#6738,
// vmware/vic#6831).
func HiddenWithoutChallenge(status int, login Fault) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		guarded := login.install(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch resource := exchangeOf(r).resource; resource {
			case KindPing, KindToken:
				guarded.ServeHTTP(w, r)
			default:
				guarded.ServeHTTP(&concealed{ResponseWriter: w, status: status, resource: resource}, r)
			}
		})
	}).On()
}

// concealed replaces a 401 by another answer, which has no challenge.
type concealed struct {
	http.ResponseWriter
	status   int
	resource Kind
	hidden   bool
}

func (c *concealed) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *concealed) WriteHeader(status int) {
	if status != http.StatusUnauthorized {
		c.ResponseWriter.WriteHeader(status)
		return
	}
	c.hidden = true
	c.Header().Del("WWW-Authenticate")
	writeError(c.ResponseWriter, c.status, codeOf(c.status, c.resource))
}

func (c *concealed) Write(p []byte) (int, error) {
	if c.hidden {
		return len(p), nil
	}
	return c.ResponseWriter.Write(p)
}

// OwnChallenge represents, in the fields of Challenge, the challenge of the login after
// it.
const OwnChallenge = "{challenge}"

// Challenge sends these WWW-Authenticate fields with each 401 of the faults after it, in
// place of theirs:
//
//	All(Challenge("Negotiate", OwnChallenge), Bearer(Auth{})) // two fields
//	All(Challenge("Negotiate, "+OwnChallenge), Bearer(Auth{})) // two challenges in one field
func Challenge(fields ...string) Fault {
	return challenges(func(own string) []string {
		var all []string
		for _, field := range fields {
			all = append(all, strings.ReplaceAll(field, OwnChallenge, own))
		}
		return all
	})
}

var quotedRealm = regexp.MustCompile(`realm="([^"]*)"`)

// UnquotedRealm removes the quotes of the realm in the challenges of the faults after
// it: realm=https://host/token. RFC 9110, section 11.2 requires them around a URL.
func UnquotedRealm() Fault {
	return challenges(func(own string) []string { return []string{quotedRealm.ReplaceAllString(own, "realm=$1")} })
}

// challenges changes the WWW-Authenticate field of every 401.
func challenges(change func(own string) []string) Fault {
	return through(func(http.ResponseWriter, *http.Request) *hooked {
		return &hooked{header: func(status int, h http.Header) {
			if status == http.StatusUnauthorized {
				h["Www-Authenticate"] = change(h.Get("WWW-Authenticate"))
			}
		}}
	}).On()
}

// TokenRedirect redirects requests for a token to another path of the same host, where
// Bearer serves them (moby/moby#38662).
func TokenRedirect() Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		redirect(w, "/auth"+r.URL.RequestURI())
	}).On(KindToken).When(func(r *http.Request) bool { return r.URL.Path == tokenPath })
}

// StaleLogin answers with status to token requests that have a login, and lets Bearer
// answer those without one: the login has expired, and the image is public
// (sylabs/singularity#212). On(KindManifest, KindBlob) makes it a registry without
// tokens.
func StaleLogin(status int) Fault {
	return Status(status).On(KindToken).When(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" })
}

// NeedsUserAgent answers 403 to clients whose User-Agent does not begin with
// prefix, like firewalls that accept only docker (getwud/wud#1280).
func NeedsUserAgent(prefix string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "blocked by policy", http.StatusForbidden)
	}).On().When(func(r *http.Request) bool { return !strings.HasPrefix(r.UserAgent(), prefix) })
}
