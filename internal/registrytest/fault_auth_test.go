package registrytest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestHiddenWithoutChallenge(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	base, _, _ := strings.Cut(address, "/v2/")
	for _, status := range []int{401, 403, 404} {
		reg.Misbehave(HiddenWithoutChallenge(status, Basic("ann", "secret")))
		a := get(t, address)
		if a.Err != nil || a.Status != status || len(a.Header["Www-Authenticate"]) != 0 || !strings.Contains(string(a.Body), codeOf(status, KindBlob)) {
			t.Errorf("%d: got %d, %v, %s, %v", status, a.Status, a.Header, a.Body, a.Err)
		}
		if a := get(t, base+"/v2/"); a.Status != 401 || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%d: /v2/ answers %d, %v", status, a.Status, a.Header)
		}
		wantBody(t, get(t, address, basic("ann", "secret")), 200, b.Bytes())
	}
}

// bearerOf goes from the challenge at address to a token for the blob.
func bearerOf(t *testing.T, c *http.Client, address string) string {
	t.Helper()
	token, _, status := fetchToken(t, c, ask(t, c, http.MethodGet, address).Header.Get("WWW-Authenticate"))
	if status != 200 {
		t.Fatalf("the token server answers %d", status)
	}
	return "Authorization: Bearer " + token
}

func TestTokenServerRedirects(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	reg.Misbehave(TokenRedirect(), Bearer(Auth{}))
	base, _, _ := strings.Cut(address, "/v2/")
	if a := get(t, base+"/token?service=x"); a.Status != 307 || a.Header.Get("Location") != "/auth/token?service=x" {
		t.Errorf("got %d, %v", a.Status, a.Header)
	}
	follows := newClient(t)
	follows.CheckRedirect = nil
	wantBody(t, get(t, address, bearerOf(t, follows, address)), 200, b.Bytes())
	if stats := reg.Stats(); stats.Requests[KindToken] != 3 {
		t.Errorf("counted %v, want 3 for a token", stats.Requests)
	}
}

func TestStaleLoginAllowsRequestsWithoutALogin(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	reg.Misbehave(StaleLogin(403), Bearer(Auth{}))
	c := newClient(t)
	challenge := get(t, address).Header.Get("WWW-Authenticate")
	if _, _, status := fetchToken(t, c, challenge, basic("ann", "expired")); status != 403 {
		t.Errorf("a login gets status %d, want 403", status)
	}
	wantBody(t, get(t, address, bearerOf(t, c, address)), 200, b.Bytes())
}

func TestChallengesOfAllForms(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	tests := map[string]struct {
		fault Fault
		want  []string
	}{
		"fields":    {Challenge("Negotiate", OwnChallenge), []string{"Negotiate", `Basic realm="registrytest"`}},
		"one field": {Challenge("Negotiate, " + OwnChallenge), []string{`Negotiate, Basic realm="registrytest"`}},
		"none":      {Challenge(), nil},
		"no quotes": {UnquotedRealm(), []string{"Basic realm=registrytest"}},
	}
	for name, tt := range tests {
		reg.Misbehave(tt.fault, Basic("ann", "secret"))
		a := get(t, address)
		if got := a.Header.Values("WWW-Authenticate"); a.Status != 401 || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %d, %q; want 401, %q", name, a.Status, got, tt.want)
		}
	}
}

func TestUserAgentThatIsLetThrough(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	reg.Misbehave(NeedsUserAgent("docker/"))
	if a := get(t, address); a.Status != 403 {
		t.Errorf("another client gets status %d, want 403", a.Status)
	}
	wantBody(t, get(t, address, "User-Agent: docker/27.0.3"), 200, b.Bytes())
}
