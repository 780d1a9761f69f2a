package serve

import (
	"context"
	"net/http"
	"net/netip"
	"sync"

	"github.com/segpull/segpull/internal/access"
	"github.com/segpull/segpull/segment"
)

// paceBlock is how many bytes a client gets at once of the rate for all.
const paceBlock = 16 << 10

// pace limits what clients get, in bytes a second: all of them together, each of them, or
// both. A client is an address, or an IPv6 network of 64 bits; all that use Unix sockets
// are one. Of the rate for all, each client that waits has the same share, however many
// connections it has.
type pace struct {
	all  *segment.Limiter
	each int64 // 0: no limit

	mu      sync.Mutex // guards what follows
	clients map[netip.Prefix]*pacedClient
}

// pacedClient has the limit of one client.
type pacedClient struct {
	own      *segment.Limiter
	turn     chan struct{} // has room for one answer, which waits for the rate of all
	requests int           // that are being answered
}

// newPace returns nil if there is no limit.
func newPace(all, each int64) *pace {
	if all <= 0 && each <= 0 {
		return nil
	}
	return &pace{all: segment.NewLimiter(all), each: each, clients: make(map[netip.Prefix]*pacedClient)}
}

// join limits the answer to r. Call leave when it has ended.
func (p *pace) join(w *response, r *http.Request) (leave func()) {
	if p == nil {
		return func() {}
	}
	name := access.Client(r.RemoteAddr)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[name]
	if c == nil {
		c = &pacedClient{own: segment.NewLimiter(p.each), turn: make(chan struct{}, 1)}
		p.clients[name] = c
	}
	c.requests++
	w.take = func(n int64) (int64, error) { return c.take(r.Context(), p.all, n) }
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.requests--; c.requests == 0 {
			delete(p.clients, name)
		}
	}
}

// take waits until the client may get bytes, and returns how many: at most n, at least 1.
// The rate for all goes to those who ask for it in turn, and a client asks for it once at
// a time.
func (c *pacedClient) take(ctx context.Context, all *segment.Limiter, n int64) (int64, error) {
	if all.Rate() > 0 {
		n = min(n, paceBlock)
	}
	n, err := c.own.Take(ctx, n)
	if err != nil || all.Rate() == 0 {
		return n, err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	defer func() { <-c.turn }()
	if err := all.Charge(ctx, n); err != nil {
		return 0, err
	}
	return n, nil
}
