package lab

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

func TestRationWait(t *testing.T) {
	r := Ration{Burst: 10, PerMinute: 30}
	for requests, want := range map[int]time.Duration{0: 0, 10: 0, 11: 2 * time.Second, 40: time.Minute} {
		if got := r.wait(requests); got != want {
			t.Errorf("%d requests wait for %v, want %v", requests, got, want)
		}
	}
	if got := (Ration{}).wait(1000); got != 0 {
		t.Errorf("without a ration, requests wait for %v", got)
	}
}

func TestRationBound(t *testing.T) {
	r := Ration{Burst: 2, PerMinute: 60}
	rationed, free := Mirror{Rate: 50, Ration: r}, Mirror{Rate: 50}
	for _, tt := range []struct {
		name string
		c    Case
		want time.Duration
	}{
		{"the requests", Case{Layers: []int64{25, 25, 25, 25}, Mirrors: []Mirror{rationed}}, 4 * time.Second},
		{"the bytes", Case{Layers: []int64{100}, Mirrors: []Mirror{rationed}}, 2 * time.Second},
		{"two mirrors", Case{Layers: []int64{25, 25, 25, 25}, Mirrors: []Mirror{rationed, rationed}}, time.Second},
		{"one without a limit", Case{Layers: []int64{25, 25, 25, 25}, Mirrors: []Mirror{rationed, free}}, time.Second},
	} {
		if got := tt.c.Bound(100); got != tt.want {
			t.Errorf("%s: the bound is %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestRation asks a mirror that answers two requests at once and then one every
// ten seconds.
func TestRation(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers bool
		want    []string // status, Retry-After, RateLimit-Remaining and -Reset
	}{
		{"Retry-After", false, []string{"200 - - -", "200 - - -", "429 10 - -", "429 5 - -", "200 - - -", "429 10 - -", "200 - - -", "200 - - -", "429 10 - -"}},
		{"RateLimit", true, []string{"200 - 1 10", "200 - 0 10", "429 - 0 10", "429 - 0 5", "200 - 0 10", "429 - 0 10", "200 - 1 10", "200 - 0 10", "429 - 0 10"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := registrytest.New()
				reg.Misbehave(Ration{Burst: 2, PerMinute: 6, Headers: tt.headers}.fault())
				// The pause before each request.
				for i, pause := range []time.Duration{0, 0, 0, 5 * time.Second, 5 * time.Second, 0, time.Minute, 0, 0} {
					time.Sleep(pause)
					if got := ask(reg); got != tt.want[i] {
						t.Errorf("request %d is answered %q, want %q", i, got, tt.want[i])
					}
				}
				if stats := reg.Stats(); stats.Statuses[http.StatusTooManyRequests] != 4 {
					t.Errorf("the statuses are %v, want 4 of 429", stats.Statuses)
				}
			})
		})
	}
}

func ask(reg *registrytest.Server) string {
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/", nil))
	resp := w.Result()
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	header := func(name string) string {
		if v := resp.Header.Get(name); v != "" {
			return v
		}
		return "-"
	}
	return fmt.Sprint(resp.StatusCode, " ", header("Retry-After"), " ", header("RateLimit-Remaining"), " ", header("RateLimit-Reset"))
}
