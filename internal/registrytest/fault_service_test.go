package registrytest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetIsPerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := RandomBlob(1, 10)
		reg := New()
		reg.AddBlob(repo, b)
		reg.Misbehave(Budget(2, time.Minute))
		client := servePipe(t, reg)
		ask := func() answer { return ask(t, client, http.MethodGet, "http://registry"+blobPath(b)) }

		for i, want := range []int{200, 200, 429} {
			if a := ask(); a.Status != want {
				t.Errorf("request %d: status %d, want %d", i, a.Status, want)
			}
			time.Sleep(10 * time.Second)
		}
		a := ask() // at 30 s
		if a.Status != 429 || a.Header.Get("Retry-After") != "30" {
			t.Errorf("status %d, Retry-After %q; want 429, 30", a.Status, a.Header.Get("Retry-After"))
		}
		time.Sleep(30 * time.Second)
		for i, want := range []int{200, 429} {
			if a := ask(); a.Status != want {
				t.Errorf("request %d of the next minute: status %d, want %d", i, a.Status, want)
			}
		}
	})
}

func TestMaxConcurrentRefusesWhatIsBeyond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := RandomBlob(1, 1<<20)
		reg := New()
		reg.AddBlob(repo, b)
		reg.Throttle(1 << 20)
		reg.Misbehave(MaxConcurrent(2))
		client := servePipe(t, reg)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { ask(t, client, http.MethodGet, "http://registry"+blobPath(b)) })
		}
		wg.Wait()
		if a := ask(t, client, http.MethodGet, "http://registry"+blobPath(b)); a.Status != 200 {
			t.Errorf("status is %d when no other client asks", a.Status)
		}
		if got := reg.Stats().Statuses; got[200] != 3 || got[429] != 3 {
			t.Errorf("statuses are %v, want three of 200 and of 429", got)
		}
	})
}

// Clients that obey a limit may ask again as soon as they have the last byte.
func TestMaxConcurrentIsFreeAfterTheLastByte(t *testing.T) {
	b := RandomBlob(1, 100)
	reg, address := serveBlob(t, b)
	reg.Misbehave(MaxConcurrent(1))
	for range 100 {
		wantBody(t, get(t, address), 200, b.Bytes()) // each by a connection of its own
	}
	if stats := reg.Stats(); stats.Concurrent != 1 {
		t.Errorf("counted %d requests at once, want 1", stats.Concurrent)
	}
}

func TestDaocloudMakesItsClientsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := RandomBlob(1, 256<<10)
		reg := New()
		reg.AddBlob(repo, b)
		reg.Misbehave(Daocloud())
		client := servePipe(t, reg)
		start := time.Now()
		for range 20 {
			wantBody(t, ask(t, client, http.MethodGet, "http://registry"+blobPath(b)), 200, b.Bytes())
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("20 times 256 KiB took %v, want 5 s", took)
		}
		if a := ask(t, client, http.MethodGet, "http://registry"+blobPath(b)); a.Status != 429 || a.Header.Get("Retry-After") != "55" {
			t.Errorf("status %d, Retry-After %q; want 429, 55", a.Status, a.Header.Get("Retry-After"))
		}
	})
}

func TestHarborProxyLearnsABlobByServingIt(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(HarborProxy())
	c := newClient(t)
	head := func() int { return ask(t, c, http.MethodHead, address).Status }
	rang := func() answer { return ask(t, c, http.MethodGet, address, "Range: bytes=0-9") }

	if got := head(); got != 404 {
		t.Errorf("HEAD of a blob it doesn't hold: %d, want 404", got)
	}
	wantBody(t, rang(), 200, b.Bytes())
	wantBody(t, rang(), 206, b.Bytes()[:10])
	if got := head(); got != 200 {
		t.Errorf("HEAD of a blob it holds: %d, want 200", got)
	}
}

func TestSignedRedirectExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := RandomBlob(1, 10_000)
		reg := New()
		reg.AddBlob(repo, b)
		cdn := reg.Mirror()
		reg.Misbehave(SignedRedirect("http://cdn", time.Minute))
		registry, edge := servePipe(t, reg), servePipe(t, cdn)
		registry.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

		location := ask(t, registry, http.MethodGet, "http://registry"+blobPath(b)).Header.Get("Location")
		wantBody(t, ask(t, edge, http.MethodGet, location, "Range: bytes=5-9"), 206, b.Bytes()[5:10])
		if a := ask(t, edge, http.MethodGet, location, "Authorization: Bearer x"); a.Status != 400 {
			t.Errorf("with Authorization: status %d, want 400", a.Status)
		}
		if a := ask(t, edge, http.MethodGet, location+"0"); a.Status != 403 {
			t.Errorf("with another signature: status %d, want 403", a.Status)
		}
		time.Sleep(time.Minute)
		if a := ask(t, edge, http.MethodGet, location); a.Status != 403 {
			t.Errorf("after a minute: status %d, want 403", a.Status)
		}
		if stats := cdn.Stats(); stats.Requests[KindCDN] != 4 || stats.Bytes != 5 {
			t.Errorf("the CDN counted %v and %d bytes, want 4 and 5", stats.Requests, stats.Bytes)
		}
	})
}

func TestBasicAsksForThePassword(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	reg.Misbehave(Basic("ann", "secret"))
	if a := get(t, address); a.Status != 401 || a.Header.Get("WWW-Authenticate") != `Basic realm="registrytest"` {
		t.Errorf("got %d, %v", a.Status, a.Header)
	}
	if a := get(t, address, basic("ann", "wrong")); a.Status != 401 {
		t.Errorf("with a wrong password the status is %d, want 401", a.Status)
	}
	wantBody(t, get(t, address, basic("ann", "secret")), 200, b.Bytes())
}

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// fetchToken follows a challenge.
func fetchToken(t *testing.T, c *http.Client, challenge string, headers ...string) (token string, expires int, status int) {
	t.Helper()
	m := regexp.MustCompile(`^Bearer realm="([^"]+)",service="([^"]+)",scope="([^"]+)"$`).FindStringSubmatch(challenge)
	if m == nil {
		t.Fatalf("challenge is %q", challenge)
	}
	a := ask(t, c, http.MethodGet, m[1]+"?service="+m[2]+"&scope="+m[3], headers...)
	var answer struct {
		Token   string `json:"token"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Token, answer.Expires, a.Status
}

func TestBearerTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := RandomBlob(1, 10)
		reg := New()
		reg.AddBlob(repo, b)
		reg.AddBlob("other", b)
		reg.Misbehave(Bearer(Auth{Username: "ann", Password: "secret", Lifetime: 90 * time.Second}))
		client := servePipe(t, reg)
		address := "http://registry" + blobPath(b)

		challenge := ask(t, client, http.MethodGet, address).Header.Get("WWW-Authenticate")
		if _, _, status := fetchToken(t, client, challenge); status != 401 {
			t.Errorf("token without a password: status %d, want 401", status)
		}
		token, expires, _ := fetchToken(t, client, challenge, basic("ann", "secret"))
		if expires != 90 {
			t.Errorf("expires_in is %d, want 90", expires)
		}
		bearer := "Authorization: Bearer " + token
		wantBody(t, ask(t, client, http.MethodGet, address, bearer), 200, b.Bytes())
		if a := ask(t, client, http.MethodGet, "http://registry/v2/", bearer); a.Status != 200 {
			t.Errorf("ping: status %d, want 200", a.Status)
		}
		if a := ask(t, client, http.MethodGet, strings.Replace(address, repo, "other", 1), bearer); a.Status != 401 {
			t.Errorf("another repository: status %d, want 401", a.Status)
		}
		time.Sleep(90 * time.Second)
		if a := ask(t, client, http.MethodGet, address, bearer); a.Status != 401 {
			t.Errorf("after its lifetime: status %d, want 401", a.Status)
		}
	})
}

func TestBearerInCircles(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	reg.Misbehave(Bearer(Auth{Lifetime: -1}))
	c := newClient(t)
	for range 3 {
		challenge := ask(t, c, http.MethodGet, address).Header.Get("WWW-Authenticate")
		token, _, _ := fetchToken(t, c, challenge)
		if a := ask(t, c, http.MethodGet, address, "Authorization: Bearer "+token); a.Status != 401 {
			t.Fatalf("status is %d, want 401", a.Status)
		}
	}
}

func TestBearerSendsClientsToItsRealm(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	reg.Misbehave(Bearer(Auth{Realm: "http://elsewhere.test/auth"}))
	if got := get(t, address).Header.Get("WWW-Authenticate"); !strings.Contains(got, `realm="http://elsewhere.test/auth"`) {
		t.Errorf("challenge is %q", got)
	}
}

func TestSpoolMakesEachRequestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := RandomBlob(1, 10_000)
		reg := New()
		reg.AddBlob(repo, b)
		reg.Misbehave(Spool(130 * time.Second))
		client := servePipe(t, reg)
		start := time.Now()
		for range 2 {
			wantBody(t, ask(t, client, http.MethodGet, "http://registry"+blobPath(b), "Range: bytes=0-"), 206, b.Bytes())
		}
		if took := time.Since(start); took != 260*time.Second {
			t.Errorf("two requests took %v, want 260 s", took)
		}
		if got := reg.Stats().Requests[KindBlob]; got != 2 {
			t.Errorf("counted %d requests, want 2", got)
		}
	})
}
