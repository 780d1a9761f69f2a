package quirktest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

const goodLogin = "jo:correct-horse"

var (
	basic   = registrytest.Basic("jo", "correct-horse")
	private = registrytest.Bearer(registrytest.Auth{Username: "jo", Password: "correct-horse"})
	public  = registrytest.Bearer(registrytest.Auth{})
)

func (q quirk) with(login string) quirk {
	q.login = login
	return q
}

func (q quirk) ends(code error, words ...string) quirk {
	q.code, q.words = code, words
	return q
}

func (q quirk) warning(words ...string) quirk {
	q.warns = words
	return q
}

// TestHiddenRegistries pulls from hosts of which only /v2/ answers with a
// challenge.
func TestHiddenRegistries(t *testing.T) {
	t.Parallel()
	rows := map[string]quirk{}
	for name, login := range map[string]registrytest.Fault{"Basic": basic, "Bearer": private} {
		for status, alone := range map[int]error{401: segpull.ErrCredentials, 403: segpull.ErrCredentials, 404: segpull.ErrNotFound} {
			hidden := quirky(registrytest.HiddenWithoutChallenge(status, login))
			label := fmt.Sprintf("%d, %s (vic#6738, vic#6831)", status, name)
			rows[label] = hidden.with(goodLogin)
			rows[label+", as a stranger"] = hidden.ends(alone)
		}
	}
	for label, q := range rows {
		q.asked = unasked
		rows[label] = q
	}
	playQuirks(t, rows)
}

// unasked checks that a login goes to a host only after a 401.
func unasked(t *testing.T, seen registrytest.Stats) {
	t.Helper()
	for _, r := range seen.Log {
		if r.Status == http.StatusUnauthorized && r.Header.Get("Authorization") == "" {
			return
		}
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s was sent a login before the host asked for one", r.Path)
		}
	}
}

func TestStaleLogins(t *testing.T) {
	t.Parallel()
	rows := map[string]quirk{}
	for _, status := range []int{400, 401, 403} {
		stale := registrytest.StaleLogin(status)
		rows[fmt.Sprintf("%d, public (singularity#212, pipe-fittings#793)", status)] = quirky(stale, public).with("jo:expired").
			warning("refuses the login that is stored in %s", "docker logout")
	}
	// Its token is for everyone, and is of no use here.
	rows["401, private (vscode-remote-release#8449)"] = quirky(registrytest.StaleLogin(401), registrytest.Status(401).On(registrytest.KindManifest), public).
		with("jo:expired").ends(segpull.ErrCredentials, "the login stored in ", "auth.json was refused", "docker login", "docker logout")
	rows["401, private, Basic"] = quirky(basic).
		with("jo:expired").ends(segpull.ErrCredentials, "auth.json was refused", "docker login", "docker logout")
	playQuirks(t, rows)
}

func TestTokensAndChallenges(t *testing.T) {
	t.Parallel()
	playQuirks(t, map[string]quirk{
		"a token server that redirects (moby#38662)":     quirky(registrytest.TokenRedirect(), private).with(goodLogin),
		"two challenges in two fields":                   quirky(registrytest.Challenge("Negotiate", registrytest.OwnChallenge), private).with(goodLogin),
		"a realm without quotes":                         quirky(registrytest.UnquotedRealm(), private).with(goodLogin),
		"a User-Agent to be let in (wud#1280)":           withHeader(quirky(registrytest.NeedsUserAgent("docker/"))),
		"a User-Agent to be let in, which is not sent":   quirky(registrytest.NeedsUserAgent("docker/")).ends(segpull.ErrCredentials, "blocked by policy"),
		"a User-Agent and a token (registry.k8s.io#286)": withHeader(quirky(registrytest.NeedsUserAgent("docker/"), private).with(goodLogin)),
	})
}

func withHeader(q quirk) quirk {
	q.table.Headers = map[string]string{"User-Agent": "docker/29.0.0"}
	return q
}
