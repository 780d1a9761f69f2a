package serve

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A rate for all goes to clients in equal shares, also if one has many connections; the rate
// of one client holds for all its connections together.
func TestClientsShareTheRate(t *testing.T) {
	const kib = 1 << 10
	for _, test := range []struct {
		name        string
		all, each   int64
		connections map[string]int   // by client
		want        map[string]int64 // bytes a second
	}{
		{"the rate of all", 256 * kib, 0, map[string]int{"10.0.0.1": 9, "10.0.0.2": 1}, map[string]int64{"10.0.0.1": 128 * kib, "10.0.0.2": 128 * kib}},
		{"the rate of each", 0, 64 * kib, map[string]int{"10.0.0.1": 5, "10.0.0.2": 1}, map[string]int64{"10.0.0.1": 64 * kib, "10.0.0.2": 64 * kib}},
		{"both", 96 * kib, 64 * kib, map[string]int{"10.0.0.1": 3}, map[string]int64{"10.0.0.1": 64 * kib}},
		{"a slow rate", 4 * kib, 0, map[string]int{"10.0.0.1": 1, "10.0.0.2": 3}, map[string]int64{"10.0.0.1": 2 * kib, "10.0.0.2": 2 * kib}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const long = 2 * time.Minute
				p := newPace(test.all, test.each)
				ctx, cancel := context.WithTimeout(t.Context(), long)
				defer cancel()
				var mu sync.Mutex
				got := make(map[string]int64)
				var clients sync.WaitGroup
				for client, n := range test.connections {
					for i := range n {
						clients.Go(func() {
							r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
							r.RemoteAddr = fmt.Sprintf("%s:%d", client, i)
							w := newResponse(httptest.NewRecorder())
							defer p.join(w, r)()
							w.ResponseWriter = counted{w.ResponseWriter, func(n int) {
								mu.Lock()
								defer mu.Unlock()
								got[client] += int64(n)
							}}
							for block := make([]byte, 100*kib); ; {
								if _, err := w.Write(block); err != nil {
									return
								}
							}
						})
					}
				}
				clients.Wait()
				for client, want := range test.want {
					want *= int64(long / time.Second)
					if got[client] < want*95/100 || got[client] > want*105/100 {
						t.Errorf("%s got %d bytes, want %d", client, got[client], want)
					}
				}
				if len(p.clients) > 0 {
					t.Errorf("%d clients are remembered", len(p.clients))
				}
			})
		})
	}
}

type counted struct {
	http.ResponseWriter
	count func(n int)
}

func (c counted) Write(p []byte) (int, error) { c.count(len(p)); return len(p), nil }
