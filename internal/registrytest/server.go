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

// Server is a read-only registry. It is a correct one until Misbehave makes faults.
// All methods may be called while it serves.
type Server struct {
	*Content

	// Prefix is a path that stands behind /v2/, as "dockerhub" in
	// /v2/dockerhub/library/ubuntu/… Set it before serving. Default: none.
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

// New returns a server with content of its own, which is empty.
func New() *Server { return newServer(&Content{}) }

// Mirror returns another server of the same content, with its own faults,
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

// Misbehave replaces the server's faults for the requests that arrive from now
// on; without any it behaves again. The first fault stands nearest to the
// client.
func (s *Server) Misbehave(faults ...Fault) {
	handler := All(faults...).install(http.HandlerFunc(s.serve))
	s.handler.Store(&handler)
}

// Throttle sets the bytes per second of all bodies together. It holds at once,
// in running responses too. 0: no limit, the default.
func (s *Server) Throttle(bytesPerSecond int64) { s.rate.Store(bytesPerSecond) }

// ThrottleConnections sets the bytes per second of each response, which in
// HTTP/1.1 is that of each connection. It holds at once, in running responses
// too. 0: no limit, the default.
func (s *Server) ThrottleConnections(bytesPerSecond int64) { s.connRate.Store(bytesPerSecond) }

// Kill cuts every connection that is being answered, and each that asks for
// something, until Revive.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

// Revive ends what Kill began.
func (s *Server) Revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || s.life.Err() != nil {
		s.life, s.kill = context.WithCancel(context.Background())
	}
}

// ServeHTTP answers, with the faults of the moment.
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

// forever is a pause that only the client or Kill ends.
const forever = time.Duration(math.MaxInt64)

// pause waits, and aborts the response if the client leaves or the server is
// killed meanwhile.
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
