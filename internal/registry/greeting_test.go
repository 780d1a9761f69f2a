package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// silentRoot says that it has nothing, and nothing at all where it is to greet.
type silentRoot struct{ greeted int }

func (s *silentRoot) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/v2/") {
		s.greeted++
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: req}, nil
}

// A host that does not greet delays no caller longer than its context, and
// all of them together for a short while only.
func TestSilentGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := new(silentRoot)
		auth := newAuthorizer(Config{}).over(host)
		ask := func(ctx context.Context) time.Duration {
			began := time.Now()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://a.test/v2/a/blobs/b", nil)
			if err != nil {
				t.Error(err)
				return 0
			}
			resp, _, err := auth.do(req, target{scheme: "https", host: "a.test", greet: "https://a.test/v2/"})
			if err != nil || resp.StatusCode != http.StatusNotFound {
				t.Errorf("%v, %v", resp, err)
			}
			return time.Since(began)
		}
		var wg sync.WaitGroup
		wg.Go(func() { ask(t.Context()) })
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took := ask(short); took != time.Second {
			t.Errorf("with a second left, it took %v", took)
		}
		wg.Wait()
		if took := ask(t.Context()); took != 0 || host.greeted != 1 {
			t.Errorf("later, it took %v; the host was asked to greet %d times", took, host.greeted)
		}
	})
}

// Whoever waits for another to find out the scheme stops with its own context.
func TestChooseSchemeObeysContext(t *testing.T) {
	address, _ := url.Parse("https://a.test")
	c := New(Config{Name: "a", URL: address, PlainFallback: true})
	defer c.Close()
	if err := c.scheme.turn.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := c.chooseScheme(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
