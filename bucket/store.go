package bucket

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DefaultLease is how long a claim lasts that is not renewed.
const DefaultLease = 15 * time.Second

// Options say which bucket a Store uses.
type Options struct {
	// URL is s3://BUCKET[/PREFIX][?endpoint=URL][&region=NAME]. Without an endpoint, it is
	// Amazon's. An endpoint with http:// is used without TLS. Credentials come from the
	// environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
	// AWS_PROFILE), the shared files (~/.aws/credentials), or the role of the machine.
	URL string
	// Lease is how long a claim lasts that is not renewed. All that use a bucket should
	// have the same. 0: DefaultLease.
	Lease time.Duration
	// Warn is called with each warning for the user, one line of text. nil: there are no warnings.
	Warn func(message string)
}

// Store is a bucket with verified blobs. It is safe for concurrent use. The methods of a
// nil Store do nothing and find nothing.
type Store struct {
	opts   Options
	client *client
	reads  health
	writes health
	counts counts

	lifetime context.Context
	stop     context.CancelFunc
	slots    chan struct{} // one for each put
	queued   atomic.Int64  // puts that run or wait
	noClaims atomic.Bool   // the server has no conditional requests
	wrong    sync.Map      // digests of objects with wrong bytes

	mu      sync.Mutex // guards what follows
	closed  bool
	running sync.WaitGroup // all goroutines
	puts    sync.WaitGroup // of these, puts
}

const (
	// putsAtOnce is how many blobs are put at the same time, and mostQueued how many may
	// wait for that.
	putsAtOnce = 2
	mostQueued = 500
)

// Open returns the store in a bucket, without a request. The error says how to write the
// URL. Call Close.
func Open(opts Options) (*Store, error) {
	at, err := parse(opts.URL)
	if err != nil {
		return nil, err
	}
	c, err := newClient(at)
	if err != nil {
		return nil, err
	}
	if opts.Lease == 0 {
		opts.Lease = DefaultLease
	}
	if opts.Warn == nil {
		opts.Warn = func(string) {}
	}
	lifetime, stop := context.WithCancel(context.Background())
	return &Store{opts: opts, client: c, lifetime: lifetime, stop: stop, slots: make(chan struct{}, putsAtOnce)}, nil
}

// Name returns s3://BUCKET[/PREFIX].
func (s *Store) Name() string { return s.client.name() }

// Flush waits until all puts have ended, or ctx has.
func (s *Store) Flush(ctx context.Context) {
	if s == nil {
		return
	}
	done := make(chan struct{})
	go func() { s.puts.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Putting returns how many puts run or wait.
func (s *Store) Putting() int {
	if s == nil {
		return 0
	}
	return int(s.queued.Load())
}

// Close gives the puts that run the time grace, cuts them then, and ends the claims of this
// Store. It takes little more than grace, whatever the bucket does. A put that was cut leaves no
// object.
func (s *Store) Close(grace time.Duration) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.Flush(ctx)
	s.stop()
	s.running.Wait()
	s.client.clock.transport.CloseIdleConnections()
}

// run runs fn in a goroutine, unless the store is closed.
func (s *Store) run(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Go(fn)
	}
}

// Open requests the bytes [start, end) of a blob. It implements transfer.Store; which
// repository has the blob does not matter. The bytes are not verified.
func (s *Store) Open(ctx context.Context, _ string, b ocispec.Descriptor, start, end int64) (io.ReadCloser, int64, int64, error) {
	body, err := s.client.get(ctx, s.blobKey(b.Digest), start, end, b.Size)
	if err = s.judge(ctx, opRead, err); err != nil {
		return nil, 0, 0, err
	}
	return &counted{body, &s.counts.readBytes}, start, end, nil
}

// counted counts the bytes of a body.
type counted struct {
	io.ReadCloser
	bytes *atomic.Int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// Read returns a small blob, such as a manifest, of at most limit bytes, with the media type
// that PutSmall got. ok is false if the bucket does not have it right, or does not say so soon.
func (s *Store) Read(ctx context.Context, d digest.Digest, limit int64) (mediaType string, body []byte, ok bool) {
	if s == nil || !s.reads.good() {
		return "", nil, false
	}
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	mediaType, body, err := s.client.read(asking, s.blobKey(d), limit)
	if err = s.judge(ctx, opRead, err); err != nil {
		s.counts.looked(err)
		return "", nil, false
	}
	if digest.FromBytes(body) != d {
		s.opts.Warn(fmt.Sprintf("%s returned wrong bytes for blob %s, which segpull deletes there", s.Name(), d))
		s.Wrong(d)
		s.run(func() { s.settle(d) })
		return "", nil, false
	}
	s.counts.hits.Add(1)
	s.counts.readBytes.Add(int64(len(body)))
	return mediaType, body, true
}

// Wrong says that the bucket returned wrong bytes of a blob. The next Put writes over the
// object; if the Turn of the blob ends without a Put, the object is deleted.
func (s *Store) Wrong(d digest.Digest) {
	s.counts.wrong.Add(1)
	s.wrong.Store(d, true)
}

// settle deletes the object of a blob if it is known to be wrong.
func (s *Store) settle(d digest.Digest) {
	if _, wrong := s.wrong.LoadAndDelete(d); wrong {
		ctx := context.WithoutCancel(s.lifetime)
		_ = s.judge(ctx, opDelete, s.client.remove(ctx, s.blobKey(d)))
	}
}

// look returns the size of a blob's object, -1 if there is none.
func (s *Store) look(ctx context.Context, d digest.Digest) (size int64, err error) {
	info, err := s.client.head(ctx, s.blobKey(d))
	err = s.judge(ctx, opLook, err)
	if is(err, (*Error).Missing) {
		return -1, nil
	}
	return info.Size, err
}

// has reports whether the bucket has a blob.
func (s *Store) has(ctx context.Context, blob ocispec.Descriptor) (bool, error) {
	size, err := s.look(ctx, blob.Digest)
	return err == nil && size == blob.Size, err
}

// judge returns the error of a request that has ended, and remembers what it says of the
// bucket. An error after the end of ctx is not one of the bucket.
func (s *Store) judge(ctx context.Context, op operation, err error) error {
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	h, least := &s.reads, time.Duration(0)
	if op.writes() {
		h = &s.writes
	}
	err = s.newError(op, err)
	if err == nil || is(err, (*Error).Missing) || is(err, (*Error).exists) || is(err, (*Error).Mismatch) {
		switch say := h.worked(); {
		case say && op.writes():
			s.opts.Warn(fmt.Sprintf("blobs are put into %s again", s.Name()))
		case say:
			s.opts.Warn(fmt.Sprintf("%s answers again, and is used", s.Name()))
		}
		return err
	}
	s.counts.errors.Add(1)
	if is(err, (*Error).full) {
		least = fullFor
	}
	switch pause, say := h.failed(least); {
	case say && op.writes():
		s.opts.Warn(fmt.Sprintf("%v; blobs are not put there for %v", err, pause))
	case say:
		s.opts.Warn(fmt.Sprintf("%v; segpull goes on without it, and asks again after %v, then less often", err, pause))
	}
	return err
}

// takes reports whether something may be put.
func (s *Store) takes() bool { return s.reads.good() && s.writes.good() }

func (s *Store) blobKey(d digest.Digest) string  { return s.client.key("sha256", d.Encoded()) }
func (s *Store) claimKey(d digest.Digest) string { return s.client.key("claims", d.Encoded()) }

// counts are what Stats returns.
type counts struct {
	hits, misses, errors, wrong atomic.Int64
	waits, takeovers            atomic.Int64
	puts, failedPuts            atomic.Int64
	readBytes, putBytes         atomic.Int64
}

func (c *counts) looked(err error) {
	if is(err, (*Error).Missing) {
		c.misses.Add(1)
	}
}

// Stats are how often something has happened since Open.
type Stats struct {
	Hits, Misses   int64 // blobs and manifests that were there, and that were not
	Waits          int64 // blobs that another process had claimed
	Takeovers      int64 // of claims that had ended
	ReadBytes      int64 // of blobs and manifests that came from the bucket
	Puts, PutBytes int64
	FailedPuts     int64 // also those that were cut, or never began
	Errors         int64 // requests that failed
	Wrong          int64 // objects with wrong bytes
}

// Stats returns the counts.
func (s *Store) Stats() Stats {
	c := &s.counts
	return Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Waits: c.waits.Load(), Takeovers: c.takeovers.Load(),
		ReadBytes: c.readBytes.Load(), Puts: c.puts.Load(), PutBytes: c.putBytes.Load(), FailedPuts: c.failedPuts.Load(),
		Errors: c.errors.Load(), Wrong: c.wrong.Load(),
	}
}
