package registry

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A login that is refused is not tried again for the same request: some
// registries lock the account after a few times.
func TestRefusedLoginIsTriedOnce(t *testing.T) {
	for _, code := range []int{400, 401, 403} {
		var tried atomic.Int32
		b := newBearer(t, plainBearer)
		b.tokens.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if _, _, ok := req.BasicAuth(); ok {
				tried.Add(1)
			}
			w.WriteHeader(code)
		})
		_, err := fetchBlob(t, client(t, b.registry.URL, func(cfg *Config) { cfg.Login = login }), 0, 16)
		if asError(t, err); tried.Load() != 1 {
			t.Errorf("%d: tried %d times", code, tried.Load())
		}
	}
}

// Requests that wait for the same token share its error.
func TestRefusalIsSharedSafely(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusRequestedRangeNotSatisfiable} {
		b := newBearer(t, plainBearer)
		b.tokens.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			time.Sleep(10 * time.Millisecond)
			status(code, "Content-Range", "bytes */5")(w, req)
		})
		c := client(t, b.registry.URL, func(cfg *Config) { cfg.Login = login })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := fetchBlob(t, c, 0, 16)
				if e := asError(t, err); e.Op != "token" || e.Refused() && e.Login != "auth.json" {
					t.Errorf("got %+v", e)
				}
			})
		}
		wg.Wait()
	}
}

func TestRefusedPasswordIsNotKept(t *testing.T) {
	var tried atomic.Int32
	server, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if _, _, ok := req.BasicAuth(); ok {
			tried.Add(1)
		}
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	})
	c := client(t, server.URL, func(cfg *Config) { cfg.Login = login })
	for range 3 {
		_, err := fetchBlob(t, c, 0, 16)
		if e := asError(t, err); !e.Refused() || e.Login != "auth.json" {
			t.Errorf("got %+v", e)
		}
	}
	if tried.Load() != 3 {
		t.Errorf("tried %d times in 3 requests", tried.Load())
	}
}
