package lab

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// Ration is a limit on a mirror's requests of every kind: a bucket of tokens,
// full at the start, from which each answer takes one. Where none is left, the
// answer is 429, which takes none.
type Ration struct {
	Burst     int // tokens that the bucket holds
	PerMinute int // tokens that come
	// Headers puts the RateLimit headers of draft-ietf-httpapi-ratelimit-headers-06
	// into every answer: how many tokens are left, and when the next one comes.
	// Without it, answers of 429 have Retry-After.
	Headers bool
}

// wait is the least time until so many requests are answered.
func (r Ration) wait(requests int) time.Duration {
	if requests <= r.Burst || r.PerMinute == 0 {
		return 0
	}
	return time.Duration(requests-r.Burst) * time.Minute / time.Duration(r.PerMinute)
}

func (r Ration) fault() registrytest.Fault {
	return registrytest.Wrap(func(next http.Handler) http.Handler {
		b := &bucket{Ration: r, tokens: float64(r.Burst)}
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			s := b.take(time.Now())
			r.describe(w.Header(), s)
			if !s.taken {
				refuse(w)
				return
			}
			next.ServeHTTP(w, request)
		})
	}).On()
}

// refuse answers 429 as the distribution specification wants errors.
func refuse(w http.ResponseWriter) {
	const body = `{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, body)
}

// bucket is a ration while it is used.
type bucket struct {
	Ration
	mu     sync.Mutex
	tokens float64
	filled time.Time // when tokens was right; zero before the first request
}

// state is a bucket at a request.
type state struct {
	taken bool
	left  int           // whole tokens
	next  time.Duration // until there is one more
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) state {
	b.mu.Lock()
	defer b.mu.Unlock()
	perSecond := float64(b.PerMinute) / 60
	if !b.filled.IsZero() {
		b.tokens = min(float64(b.Burst), b.tokens+now.Sub(b.filled).Seconds()*perSecond)
	}
	b.filled = now
	taken := b.tokens >= 1
	if taken {
		b.tokens--
	}
	missing := math.Floor(b.tokens) + 1 - b.tokens
	return state{taken, int(b.tokens), time.Duration(missing / perSecond * float64(time.Second))}
}

// describe writes the headers of an answer.
func (r Ration) describe(h http.Header, s state) {
	seconds := strconv.Itoa(int(math.Ceil(s.next.Seconds())))
	switch {
	case r.Headers:
		window := strconv.Itoa(r.Burst * 60 / r.PerMinute) // in which an empty bucket gets full
		h.Set("RateLimit-Limit", strconv.Itoa(r.Burst))
		h.Set("RateLimit-Policy", strconv.Itoa(r.Burst)+";w="+window)
		h.Set("RateLimit-Remaining", strconv.Itoa(s.left))
		h.Set("RateLimit-Reset", seconds)
	case !s.taken:
		h.Set("Retry-After", seconds)
	}
}
