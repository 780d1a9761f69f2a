package registrytest

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// Server is a registry without faults, until Misbehave gives it some. What clients push
// is added to its content. It is safe for concurrent use.
type Server struct {
	*Content

	// Prefix is a path after /v2/, such as "dockerhub" in
	// /v2/dockerhub/library/ubuntu/… Set it before the first request. Default: none.
	Prefix string

	rate     atomic.Int64 // bytes a second of all bodies; 0: no limit
	connRate atomic.Int64 // of each response
	link     pacer
	handler  atomic.Pointer[http.Handler]

	mu     sync.Mutex
	life   context.Context // ends when the server is killed
	kill   context.CancelFunc
	log    []*exchange
	active int // blob requests now
	most   int
	whole  map[digest.Digest]bool
}

// New returns a server with new, empty content.
func New() *Server { return newServer(&Content{}) }

// Mirror returns another server with the same content, and with separate faults,
// throttles and statistics. It can also be the CDN of a SignedRedirect.
func (s *Server) Mirror() *Server { return newServer(s.Content) }

func newServer(c *Content) *Server {
	s := &Server{Content: c, whole: map[digest.Digest]bool{}}
	s.link.rate = &s.rate
	s.Misbehave()
	s.Revive()
	return s
}

// Start serves on loopback until the end of the test and returns the address,
// http://127.0.0.1:port.
func (s *Server) Start(t interface{ Cleanup(func()) }) string {
	listener := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Kill()
		listener.CloseClientConnections()
		listener.Close()
	})
	return listener.URL
}

// Misbehave replaces the server's faults for later requests; without arguments, the
// server has none. The first fault is nearest to the client.
func (s *Server) Misbehave(faults ...Fault) {
	handler := All(faults...).install(http.HandlerFunc(s.serve))
	s.handler.Store(&handler)
}

// Throttle limits all bodies together to a number of bytes a second, also of responses
// that are being sent. 0: no limit, the default.
func (s *Server) Throttle(bytesPerSecond int64) { s.rate.Store(bytesPerSecond) }

// ThrottleConnections limits each response to a number of bytes a second, also those
// that are being sent. With HTTP/1.1, that is the rate of each connection. 0: no limit,
// the default.
func (s *Server) ThrottleConnections(bytesPerSecond int64) { s.connRate.Store(bytesPerSecond) }

// Kill closes each connection with a response that is being sent, and until Revive each
// connection with a new request.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

// Revive ends the effect of Kill.
func (s *Server) Revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || s.life.Err() != nil {
		s.life, s.kill = context.WithCancel(context.Background())
	}
}

// ServeHTTP answers with the current faults.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ex := s.arrive(r)
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), exchangeKey{}, ex))
	defer cancel()
	stop := context.AfterFunc(ex.life, func() {
		cancel()
		// A write that waits for a slow client ends only by its deadline.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
	})
	defer stop()

	m := &meter{ResponseWriter: w, ctx: ctx, ex: ex, conn: pacer{rate: &s.connRate}}
	defer m.finish()
	abortIfDone(ctx)
	(*s.handler.Load()).ServeHTTP(m, r.WithContext(ctx))
}

// forever is a pause that ends only when the client leaves or by Kill.
const forever = time.Duration(math.MaxInt64)

// pause waits, and aborts the response if the client leaves or the server is killed.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	var over <-chan time.Time
	if d < forever {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

func abortIfDone(ctx context.Context) {
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}
