package registrytest

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Fault is a misbehaviour of a server. It affects GETs of blobs, at the registry and at
// its CDN, unless its constructor or On says otherwise.
//
// Faults are values: the methods return a fault with another condition, in any order.
// Several servers may have the same fault, and each of them counts separately.
type Fault struct {
	wrap   func(http.Handler) http.Handler
	kinds  []Kind                     // none: all
	match  []func(*http.Request) bool // all of them
	after  int
	every  int
	times  int
	chance float64
}

// Wrap makes a fault of a handler between the client and the registry.
func Wrap(wrap func(next http.Handler) http.Handler) Fault {
	return Fault{wrap: wrap, kinds: []Kind{KindBlob, KindCDN}, every: 1, times: math.MaxInt, chance: 1}
}

// All combines several faults; the first is nearest to the client.
func All(faults ...Fault) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		for _, f := range slices.Backward(faults) {
			next = f.install(next)
		}
		return next
	}).On()
}

// On makes the fault affect these kinds of requests instead; without kinds, all requests.
func (f Fault) On(kinds ...Kind) Fault {
	f.kinds = kinds
	return f
}

// Of restricts the fault to these blobs.
func (f Fault) Of(digests ...digest.Digest) Fault {
	return f.When(func(r *http.Request) bool { return slices.Contains(digests, exchangeOf(r).blob.Digest) })
}

// UntilServed restricts the fault to blobs that this server has not sent completely, in
// one response.
func (f Fault) UntilServed() Fault {
	return f.When(func(r *http.Request) bool {
		ex := exchangeOf(r)
		return !ex.server.served(ex.blob.Digest)
	})
}

// When restricts the fault to requests for which match returns true. Several goroutines
// call match at the same time.
func (f Fault) When(match func(*http.Request) bool) Fault {
	f.match = append(slices.Clip(f.match), match)
	return f
}

// After exempts the first n requests.
func (f Fault) After(n int) Fault {
	f.after = n
	return f
}

// Every restricts the fault to each nth request.
func (f Fault) Every(n int) Fault {
	f.every = max(n, 1)
	return f
}

// Times restricts the fault to the first n requests.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// Sometimes makes the fault affect a request with probability p. For the same order of
// requests, the choice is the same in each run.
func (f Fault) Sometimes(p float64) Fault {
	f.chance = p
	return f
}

// install puts the fault before next, with new counters.
func (f Fault) install(next http.Handler) http.Handler {
	faulty, strikes := f.wrap(next), f.strikes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.matches(r) && strikes() {
			faulty.ServeHTTP(w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

func (f Fault) matches(r *http.Request) bool {
	if len(f.kinds) > 0 && !slices.Contains(f.kinds, exchangeOf(r).Kind) {
		return false
	}
	for _, match := range f.match {
		if !match(r) {
			return false
		}
	}
	return true
}

// strikes counts the requests that match, and reports which of them the fault affects.
func (f Fault) strikes() func() bool {
	var mu sync.Mutex
	seen, struck := 0, 0
	dice := rand.New(rand.NewPCG(1, 2))
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		seen++
		past := seen - f.after
		if past <= 0 || past%f.every != 0 || struck >= f.times {
			return false
		}
		if f.chance < 1 && dice.Float64() >= f.chance {
			return false
		}
		struck++
		return true
	}
}

// instead returns a fault that answers in place of the registry.
func instead(answer http.HandlerFunc) Fault {
	return Wrap(func(http.Handler) http.Handler { return answer })
}

// before returns a fault that calls a function first; if that returns false, it has
// answered.
func before(do func(w http.ResponseWriter, r *http.Request) bool) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if do(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	})
}

// through returns a fault that sees what the registry writes.
func through(hooks func(w http.ResponseWriter, r *http.Request) *hooked) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := hooks(w, r)
			h.ResponseWriter = w
			next.ServeHTTP(h, r)
			if h.end != nil {
				h.end()
			}
		})
	})
}

// hooked is a response with hooks. A nil hook changes nothing.
type hooked struct {
	http.ResponseWriter
	header func(status int, h http.Header)
	status func(status int) int // after header
	body   func(p []byte) (int, error)
	end    func() // after the registry has written all
	begun  bool
}

func (h *hooked) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *hooked) WriteHeader(status int) {
	if !h.begun && h.header != nil {
		h.header(status, h.Header())
	}
	if !h.begun && h.status != nil {
		status = h.status(status)
	}
	h.begun = true
	h.ResponseWriter.WriteHeader(status)
}

func (h *hooked) Write(p []byte) (int, error) {
	if !h.begun {
		h.WriteHeader(http.StatusOK)
	}
	if h.body == nil {
		return h.ResponseWriter.Write(p)
	}
	return h.body(p)
}

// flush sends the bytes in buffers, so that a fault happens at the exact byte.
func flush(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
}
