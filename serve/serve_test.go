package serve

import (
	"context"
	"net/http/httptest"
	"testing"
)

// A browser that asks by https has checked the name, so the server does not.
func TestTheHostOfHTTPSIsNotChecked(t *testing.T) {
	h := New(Options{Upstream: nobody{}})
	defer h.Close()
	for url, status := range map[string]int{"http://any.example/v2/": 421, "https://any.example/v2/": 200} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", url, nil))
		if w.Code != status {
			t.Errorf("%s: %d, want %d", url, w.Code, status)
		}
	}
}

// nobody is an Upstream that only passes the field Via on.
type nobody struct{ Upstream }

func (nobody) Via(ctx context.Context, _ string) context.Context { return ctx }
