package registrytest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Basic requires a user name and a password for each request, except those to the CDN.
func Basic(username, password string) Fault {
	return before(func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, ok := r.BasicAuth(); ok && u == username && p == password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registrytest"`)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return false
	}).On(KindPing, KindManifest, KindBlob, KindHead, KindUpload)
}

// Auth describes a token service.
type Auth struct {
	// Username and Password are required for a token. Default: none, everyone gets
	// a token.
	Username, Password string
	// Lifetime of a token. Default: 5 minutes. If it is negative, the registry
	// accepts none of its tokens.
	Lifetime time.Duration
	// Realm is the URL of the token server. Default: this server.
	Realm string
}

// Bearer requires a token for each request, except those to the CDN, and serves tokens
// at /token, each for the repositories of its scope.
func Bearer(auth Auth) Fault {
	if auth.Lifetime == 0 {
		auth.Lifetime = 5 * time.Minute
	}
	return Wrap(func(next http.Handler) http.Handler {
		t := &tokens{Auth: auth, issued: map[string]token{}}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ex := exchangeOf(r)
			switch {
			case ex.resource == KindToken:
				t.issue(w, r)
			case t.accept(r.Header.Get("Authorization"), scopesOf(r, ex)):
				next.ServeHTTP(w, r)
			default:
				t.challenge(w, r, scopesOf(r, ex))
			}
		})
	}).On(KindPing, KindManifest, KindBlob, KindHead, KindUpload, KindToken)
}

type tokens struct {
	Auth
	mu     sync.Mutex
	issued map[string]token
}

type token struct {
	scopes  []string
	expires time.Time
}

// scopesOf returns what a request needs, as a repository and an action each.
func scopesOf(r *http.Request, ex *exchange) (scopes []string) {
	if ex.Repository == "" {
		return nil
	}
	scopes = []string{"repository:" + ex.Repository + ":pull"}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		scopes[0] += ",push"
	}
	if from := r.URL.Query().Get("from"); from != "" {
		scopes = append(scopes, "repository:"+from+":pull")
	}
	return scopes
}

// covers reports whether a token's scopes have all actions of another.
func covers(have []string, want string) bool {
	i := strings.LastIndexByte(want, ':')
	for _, action := range strings.Split(want[i+1:], ",") {
		granted := slices.ContainsFunc(have, func(scope string) bool {
			actions, ok := strings.CutPrefix(scope, want[:i+1])
			return ok && slices.Contains(strings.Split(actions, ","), action)
		})
		if !granted {
			return false
		}
	}
	return true
}

func (t *tokens) issue(w http.ResponseWriter, r *http.Request) {
	u, p, _ := r.BasicAuth()
	if t.Username != "" && (u != t.Username || p != t.Password) {
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	name := rand.Text()
	var scopes []string
	for _, scope := range r.URL.Query()["scope"] {
		scopes = append(scopes, strings.Fields(scope)...)
	}
	t.mu.Lock()
	t.issued[name] = token{scopes, time.Now().Add(t.Lifetime)}
	t.mu.Unlock()
	writeJSON(w, map[string]any{"token": name, "expires_in": int(max(t.Lifetime, 0).Seconds())})
}

func (t *tokens) accept(authorization string, scopes []string) bool {
	name, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tok, ok := t.issued[name]
	return ok && time.Now().Before(tok.expires) &&
		!slices.ContainsFunc(scopes, func(scope string) bool { return !covers(tok.scopes, scope) })
}

func (t *tokens) challenge(w http.ResponseWriter, r *http.Request, scopes []string) {
	realm := t.Realm
	if realm == "" {
		realm = "http://" + r.Host + tokenPath
		if r.TLS != nil {
			realm = "https://" + r.Host + tokenPath
		}
	}
	challenge := fmt.Sprintf(`Bearer realm=%q,service="registrytest"`, realm)
	if len(scopes) > 0 {
		challenge += fmt.Sprintf(`,scope=%q`, strings.Join(scopes, " "))
	}
	w.Header().Set("WWW-Authenticate", challenge)
	writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
}
