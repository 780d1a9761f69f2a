package quirktest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

// TestLinksOnTheHost pulls from stores on the registry's own host and port,
// which refuse a link with a second authorization.
func TestLinksOnTheHost(t *testing.T) {
	t.Parallel()
	rows := map[string]quirk{}
	for name, login := range map[string]registrytest.Fault{"Basic": basic, "Bearer": private} {
		signed := quirky(registrytest.SignedLinkOnHost(), login).with(goodLogin)
		signed.asked = func(t *testing.T, seen registrytest.Stats) {
			if n := count(seen, authorizedLink); n > 0 {
				t.Errorf("%d requests for links were sent the login", n)
			}
		}
		rows["signed, "+name+" (moby#50065, minio#5155)"] = signed
		unsigned := quirky(registrytest.UnsignedLinkOnHost(), login).with(goodLogin)
		unsigned.asked = func(t *testing.T, seen registrytest.Stats) {
			if n, all := count(seen, authorizedLink), count(seen, isLink); n > 3 || all < 6 {
				t.Errorf("%d of %d requests for links were sent the login", n, all)
			}
		}
		rows["unsigned, "+name] = unsigned
	}
	playQuirks(t, rows)
}

func isLink(r registrytest.Request) bool { return r.Kind == registrytest.KindCDN }

func authorizedLink(r registrytest.Request) bool {
	return isLink(r) && r.Header.Get("Authorization") != ""
}

// TestAFrontSendsAllElsewhere asks a front end that is another origin than the
// registry, which alone asks for a login (harbor#6122).
func TestAFrontSendsAllElsewhere(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for name, login := range map[string]registrytest.Fault{"Basic": basic, "Bearer": private} {
			t.Run(fmt.Sprintf("%d, %s", status, name), func(t *testing.T) {
				t.Parallel()
				img := pulltest.ImageOf(1, mib)
				m := pulltest.Serve(t, 2, img)
				front, behind := m.Servers[0], m.Servers[1]
				front.Misbehave(registrytest.RedirectAll(m.URLs[1], status))
				behind.Misbehave(login)
				opts := segpull.Options{Mirrors: m.URLs[:1], Authfile: authfile(t, map[string]string{m.Name(0): "front:battery-staple", m.Name(1): goodLogin})}
				r := m.MustPull(t, opts)
				pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
				for _, r := range front.Stats().Log {
					if r.Header.Get("Authorization") != "" {
						t.Errorf("the front was sent %q", r.Header.Get("Authorization"))
					}
				}
				for _, r := range behind.Stats().Log {
					if user, _, ok := basicOf(r); ok && user != "jo" {
						t.Errorf("the registry was sent the login of %q", user)
					}
				}
			})
		}
	}
}

func basicOf(r registrytest.Request) (user, password string, ok bool) {
	return (&http.Request{Header: r.Header}).BasicAuth()
}

// TestAFrontSendsAllToHTTPS asks a front before a registry that wants an anonymous
// token (harbor#6122).
func TestAFrontSendsAllToHTTPS(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	m := pulltest.Serve(t, 1, img)
	behind := m.Servers[0].Mirror()
	behind.Misbehave(public)
	secure, ca := serveTLS(t, behind)
	m.Servers[0].Misbehave(registrytest.RedirectAll(secure, http.StatusMovedPermanently))
	table := sources.Mirror{URL: m.URLs[0], CA: sources.Paths{ca}}
	r := m.MustPull(t, segpull.Options{Mirrors: []string{"front"}, Config: sources.Config{Mirror: map[string]sources.Mirror{"front": table}}})
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
}

// TestPathsBeforeV2 pulls from a registry below a path of its host
// (compose#6894, jib#993, bottlerocket#1888).
func TestPathsBeforeV2(t *testing.T) {
	t.Parallel()
	for name, login := range map[string]registrytest.Fault{
		"open": registrytest.All(), "Basic": basic, "hidden": registrytest.HiddenWithoutChallenge(403, basic),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := quirky(registrytest.PathPrefix("/repository/hub"), login).with(goodLogin)
			q.path = "/repository/hub/v2"
			q.asked = func(t *testing.T, seen registrytest.Stats) {
				if n := count(seen, func(r registrytest.Request) bool { return !strings.HasPrefix(r.Path, "/repository/hub/v2/") }); n > 0 {
					t.Errorf("%d requests went elsewhere", n)
				}
			}
			q.play(t)
		})
	}
}

// TestALoopbackRegistryByItsBareName checks that segpull asks by https first,
// as docker does (zarf#4727).
func TestALoopbackRegistryByItsBareName(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 1, img)
	secure, ca := serveTLS(t, m.Servers[0].Mirror())
	for name, table := range map[string]sources.Mirror{m.Name(0): {}, strings.TrimPrefix(secure, "https://"): {CA: sources.Paths{ca}}} {
		cfg := sources.Config{Mirror: map[string]sources.Mirror{name: table}}
		results, err := m.Pull(t, segpull.Options{Mirrors: []string{name}, Config: cfg}, name+"/team/app:1")
		if err != nil {
			t.Fatal(err)
		}
		if r := results[0]; r.ImageID != img.Config.Digest.String() {
			t.Errorf("%s: pulled %+v", name, r)
		}
	}
}
