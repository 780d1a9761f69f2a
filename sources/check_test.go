package sources

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

// Check says of each source what a user wants to know before naming it.
func TestCheck(t *testing.T) {
	t.Parallel()
	good, goodAt := serving(t, imageA)
	good.Misbehave(registrytest.Header("RateLimit-Limit", "100;w=60").On(), registrytest.Header("RateLimit-Remaining", "76").On())
	whole, wholeAt := serving(t, imageA)
	whole.Misbehave(registrytest.IgnoreRange())
	_, otherAt := serving(t, imageB)
	locked, lockedAt := serving(t, imageA)
	locked.Misbehave(registrytest.Basic("user", "password"))
	_, emptyAt := serving(t)
	lacks, lacksAt := serving(t, imageA)
	lacks.Misbehave(registrytest.Status(404).On(registrytest.KindBlob))
	_, digestAt := serving(t, imageA)
	known, knownAt := serving(t, imageA)
	known.Misbehave(registrytest.Basic("user", "password"))
	wrong, wrongAt := serving(t, imageA)
	wrong.Misbehave(registrytest.Basic("user", "another"))
	login := base64.StdEncoding.EncodeToString([]byte("user:password"))
	authfile := write(t, filepath.Join(t.TempDir(), "auth.json"), fmt.Sprintf(`{"auths": {%q: {"auth": %q}, %q: {"auth": %q}}}`,
		strings.TrimPrefix(knownAt, "http://"), login, strings.TrimPrefix(wrongAt, "http://"), login))
	no := false
	cfg := Config{Mirror: map[string]Mirror{"digest": {URL: digestAt, Tags: &no}}}
	names := []string{goodAt, wholeAt, otherAt, lockedAt, emptyAt, lacksAt, "digest", knownAt, wrongAt, "http://127.0.0.1:1"}
	set, _, err := New(cfg, NewLogins(authfile, func(string) {}), names, Images{Registry: dockerHub})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	checks := set.Check(t.Context(), app, image.Platform{OS: "linux", Architecture: "amd64"})
	a, b := string(imageA.Manifest.Digest)[:15], string(imageB.Manifest.Digest)[:15]
	for i, want := range []string{
		"reachable usable " + a + " ranges=true login=none tls=none rate latency quota=76/100",
		"reachable usable " + a + " ranges=false login=none tls=none rate latency",
		"reachable usable " + b + " ranges=true login=none tls=none rate latency",
		"reachable login=required tls=none",
		"reachable login=none tls=none",
		"reachable " + a + " login=none tls=none latency",
		"reachable usable " + a + " ranges=true login=none tls=none rate latency",
		"reachable usable " + a + " ranges=true login=ok tls=none rate latency",
		"reachable login=refused tls=none",
		"login=none tls=none",
	} {
		if got := checkText(checks[i]); got != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", names[i], checks[i].Err, got, want)
		}
	}
}

func checkText(c Check) string {
	var words []string
	word := func(applies bool, text string) {
		if applies {
			words = append(words, text)
		}
	}
	word(c.Reachable, "reachable")
	word(c.Err == nil, "usable")
	word(c.Digest != "", string(c.Digest)[:min(len(c.Digest), 15)])
	if c.Ranges != nil {
		word(true, fmt.Sprintf("ranges=%t", *c.Ranges))
	}
	word(true, "login="+c.Login)
	word(true, "tls="+c.TLS)
	word(c.Rate > 0, "rate")
	word(c.Latency > 0, "latency")
	if c.Quota != nil {
		word(true, fmt.Sprintf("quota=%d/%d", c.Quota.Left, c.Quota.Most))
	}
	return strings.Join(words, " ")
}
