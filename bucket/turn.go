package bucket

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// firstLook is how long Begin waits until it looks again for a blob that another
	// process has claimed; each further look comes after twice the time, up to mostLook.
	firstLook = 250 * time.Millisecond
	mostLook  = 2 * time.Second
	// renewals is how often a claim is renewed while it lasts.
	renewals = 3
)

// Turn is one process that needs a blob which its cache does not have. End it. It is for one
// goroutine.
type Turn struct {
	store   *Store
	blob    ocispec.Descriptor
	found   bool
	busy    bool
	replace bool // the object has another size than the blob

	claim   *claim             // nil: none
	stop    context.CancelFunc // of what runs for the turn
	putting bool               // the put ends it
}

// Begin looks whether the bucket has a blob, of which it needs digest and size, and
// otherwise claims it. While another process
// has claimed it, Begin waits for the blob, and at most for the given time. If the bucket
// cannot be asked, or ctx ends, the turn has neither the blob nor a claim.
func (s *Store) Begin(ctx context.Context, blob ocispec.Descriptor, wait time.Duration) *Turn {
	t := &Turn{store: s, blob: blob, stop: func() {}}
	if s == nil || !s.reads.good() {
		return t
	}
	for began, pause := time.Now(), firstLook; ; pause = min(2*pause, mostLook) {
		size, err := s.look(ctx, blob.Digest)
		if err != nil || size == blob.Size {
			t.have(err == nil)
			break
		}
		t.replace = size >= 0
		if t.claim, err = s.claim(ctx, blob, t.busy); err != nil || t.claim != nil {
			break
		}
		if !t.busy {
			t.busy = true
			s.counts.waits.Add(1)
		}
		if time.Since(began)+pause > wait {
			return t
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return t
		}
	}
	t.busy = false
	if t.claim != nil {
		t.keep()
	}
	if !t.found {
		s.counts.misses.Add(1)
	}
	return t
}

func (t *Turn) have(found bool) {
	if t.found = found; found {
		t.store.counts.hits.Add(1)
	}
}

// Found reports whether the bucket has the blob.
func (t *Turn) Found() bool { return t.found }

// Busy reports whether another process has still claimed the blob.
func (t *Turn) Busy() bool { return t.busy }

// keep renews the claim until the turn ends. The end does not cut a renewal: without its
// answer it is not certain that the claim may be deleted.
func (t *Turn) keep() {
	ctx, stop := context.WithCancel(t.store.lifetime)
	t.stop = stop
	t.store.run(func() {
		tick := time.NewTicker(t.store.opts.Lease / renewals)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.claim.renew()
			case <-ctx.Done():
				return
			}
		}
	})
}

// OnFound calls found once when the bucket has the blob, which another process fetches as
// well, unless the turn ends first. It is for a turn that is Busy.
func (t *Turn) OnFound(found func()) {
	if !t.busy {
		return
	}
	ctx, stop := context.WithCancel(t.store.lifetime)
	t.stop = stop
	t.store.run(func() {
		look := time.NewTicker(mostLook)
		defer look.Stop()
		for {
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
			if there, err := t.store.has(ctx, t.blob); err == nil && there {
				t.store.counts.hits.Add(1)
				found()
				return
			}
		}
	})
}

// End ends the turn, unless Put has been called: the claim ends, and an object that is wrong
// is deleted.
func (t *Turn) End() {
	if t.store != nil && !t.putting {
		t.store.run(t.end)
	}
}

// end is called once, in a goroutine of the store.
func (t *Turn) end() {
	t.stop()
	t.store.settle(t.blob.Digest)
	if t.claim != nil {
		t.claim.release()
	}
}

// claim is this process's claim to fetch a blob.
type claim struct {
	store *Store
	key   string
	id    string

	mu      sync.Mutex // guards what follows
	etag    string     // "": it is lost
	renewed time.Time
	count   int
}

// claim claims a blob, unless another process has. If one had, as far as is known, claim
// first looks whether its claim has ended.
func (s *Store) claim(ctx context.Context, blob ocispec.Descriptor, other bool) (*claim, error) {
	if s.noClaims.Load() || !s.takes() {
		return nil, errNoClaims
	}
	host, _ := os.Hostname()
	c := &claim{store: s, key: s.claimKey(blob.Digest), id: host + " " + rand.Text()}
	if !other {
		taken, err := c.put(ctx, condition{absent: true})
		if taken || err != nil {
			return c.orNil(taken), err
		}
	}
	there, err := s.client.head(ctx, c.key)
	err = s.judge(ctx, opLook, err)
	switch {
	case is(err, (*Error).Missing):
		return s.claimAgain(ctx, c, blob)
	case err != nil:
		return nil, err
	case s.client.clock.now().Sub(there.LastModified) <= s.opts.Lease:
		return nil, nil
	}
	taken, err := c.put(ctx, condition{etag: there.ETag})
	if taken {
		s.counts.takeovers.Add(1)
	}
	return c.orNil(taken), err
}

// claimAgain claims a blob whose claim has ended. Its owner may have put the blob since.
func (s *Store) claimAgain(ctx context.Context, c *claim, blob ocispec.Descriptor) (*claim, error) {
	taken, err := c.put(ctx, condition{absent: true})
	if !taken || err != nil {
		return nil, err
	}
	found, err := s.has(ctx, blob)
	if found {
		c.release()
	}
	return c.orNil(!found), err
}

func (c *claim) orNil(taken bool) *claim {
	if !taken {
		return nil
	}
	return c
}

// put writes the claim, and reports whether the condition held. Each time it has other
// bytes, and so another ETag.
func (c *claim) put(ctx context.Context, when condition) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	began := time.Now()
	etag, err := c.store.client.putSmall(ctx, c.key, "text/plain", fmt.Appendf(nil, "%s %d\n", c.id, c.count), when)
	if is(c.store.newError(opClaim, err), (*Error).unsupported) {
		c.store.noClaims.Store(true)
		c.store.opts.Warn(c.store.Name() + " has no conditional requests, so several servers may fetch the same blob at once")
		return false, errNoClaims
	}
	err = c.store.judge(ctx, opClaim, err)
	switch {
	case is(err, (*Error).exists), is(err, (*Error).Missing):
		c.etag = ""
		return false, nil
	case err != nil:
		return false, err
	}
	c.etag, c.renewed = etag, began
	return true, nil
}

// renew makes the claim last longer, unless another process has taken it over.
func (c *claim) renew() {
	c.mu.Lock()
	etag := c.etag
	c.mu.Unlock()
	if etag != "" {
		_, _ = c.put(c.store.lifetime, condition{etag: etag}) // the next one may work
	}
}

// release ends the claim, if it is certain that it is still that of this process.
func (c *claim) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.etag == "" || time.Since(c.renewed) > c.store.opts.Lease/2 {
		return
	}
	c.etag = ""
	ctx := context.WithoutCancel(c.store.lifetime)
	_ = c.store.judge(ctx, opDelete, c.store.client.remove(ctx, c.key)) // otherwise it ends by itself
}
