package registrytest

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// MaxConcurrent answers 429 to requests beyond n at the same time.
func MaxConcurrent(n int) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		var active atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ex := exchangeOf(r)
			ex.atEnd = append(ex.atEnd, func() { active.Add(-1) })
			if active.Add(1) > int64(n) {
				writeError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS")
				return
			}
			next.ServeHTTP(w, r)
		})
	})
}

// Budget answers n requests of any kind in each window of time, and 429 with Retry-After
// in seconds to the others.
func Budget(n int, window time.Duration) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		b := &budget{n: n, window: window}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if wait := b.spend(time.Now()); wait > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
				writeError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS")
				return
			}
			next.ServeHTTP(w, r)
		})
	}).On()
}

type budget struct {
	n      int
	window time.Duration

	mu    sync.Mutex
	spent []time.Time // the last n requests, oldest first
}

// spend takes a request from the budget, or returns how long the budget is empty.
func (b *budget) spend(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spent) >= b.n {
		if wait := b.spent[0].Add(b.window).Sub(now); wait > 0 {
			return wait
		}
		b.spent = b.spent[1:]
	}
	b.spent = append(b.spent, now)
	return 0
}
