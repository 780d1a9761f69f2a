// Package push puts an image into a registry, blob by blob.
//
//	Blob:      is it there? ─→ mount it from another repository ─→ or send it, and again if that fails
//	Manifest:  after the blobs; an index after its manifests, the tag last
//
// Guarantees:
//   - What the registry has is not sent. So a push that was interrupted continues with
//     what is missing, but a blob from its start.
//   - At most four blobs are sent at once, however many goroutines call Blob.
//   - Every wait ends with the context, and one for a registry that is silent after
//     Options.GiveUpAfter.
//
// The package knows no mirrors and no disk: the registry is an interface of its own, and
// the caller gives the bytes, which are verified.
package push

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/again"
)

// atOnce is how many blobs are sent at the same time: small ones cost round trips,
// and more would share the same link.
const atOnce = 4

// Registry is a registry to push to. sources.Target is one. Errors may have the methods
// Missing, Refused and Permanent, which return true where a second request would fail in
// the same way, and RetryAfter.
type Registry interface {
	// Has reports whether the registry has a blob in a repository.
	Has(ctx context.Context, repository string, d digest.Digest) (bool, error)
	// Mount mounts a blob from the repository from, and reports whether that was possible.
	Mount(ctx context.Context, repository, from string, d digest.Digest) (bool, error)
	// Upload mounts a blob from the repository from, unless that is "", or sends what
	// open returns.
	Upload(ctx context.Context, repository, from string, b ocispec.Descriptor, open func() io.Reader) (mounted bool, err error)
	// PutManifest puts a manifest or an index under a tag or its digest.
	PutManifest(ctx context.Context, repository, reference, mediaType string, body []byte) error
}

// Options says where to push, and how.
type Options struct {
	Registry   Registry
	Repository string
	// From returns a repository of the registry that may have a blob, or "". nil: none.
	From func(d digest.Digest) string
	// Limit waits until so many bytes may be sent. nil: no limit.
	Limit func(ctx context.Context, bytes int) error
	// Sent gets the bytes of blobs that the registry has got, also of those that it had
	// before; fewer than 0 where an upload failed. Several goroutines call it. nil: nobody
	// wants to know.
	Sent func(bytes int64)
	// Trouble gets the errors of requests that are made again. Several goroutines call
	// it. nil: nobody wants to know.
	Trouble func(err error)
	// GiveUpAfter is how long a request may be silent. Required.
	GiveUpAfter time.Duration
}

// Push is the push of one image. It is safe for concurrent use.
type Push struct {
	opts  Options
	slots chan struct{}
}

// New prepares a push. It makes no request.
func New(opts Options) *Push {
	if opts.From == nil {
		opts.From = func(digest.Digest) string { return "" }
	}
	if opts.Limit == nil {
		opts.Limit = func(context.Context, int) error { return nil }
	}
	if opts.Sent == nil {
		opts.Sent = func(int64) {}
	}
	if opts.Trouble == nil {
		opts.Trouble = func(error) {}
	}
	return &Push{opts, make(chan struct{}, atOnce)}
}

// has reports whether the registry has a blob.
func (p *Push) has(ctx context.Context, d digest.Digest) (has bool, err error) {
	err = p.take(ctx, func(ctx context.Context, _ func()) (err error) {
		has, err = p.opts.Registry.Has(ctx, p.opts.Repository, d)
		return err
	})
	return has, err
}

// HasOrMounts reports whether the registry has a blob, or has mounted it from another
// repository: then nobody needs its bytes.
func (p *Push) HasOrMounts(ctx context.Context, d digest.Digest) (bool, error) {
	has, err := p.has(ctx, d)
	from := p.opts.From(d)
	if has || err != nil || from == "" {
		return has, err
	}
	err = p.take(ctx, func(ctx context.Context, _ func()) (err error) {
		has, err = p.opts.Registry.Mount(ctx, p.opts.Repository, from, d)
		return err
	})
	return has, err
}

// Blob makes the registry have a blob. open returns its bytes from the start, for each
// try. The error is that of the last try, or the cause of ctx.
func (p *Push) Blob(ctx context.Context, b ocispec.Descriptor, open func() io.Reader) error {
	has, err := p.has(ctx, b.Digest)
	if err != nil {
		return err
	}
	if has {
		p.opts.Sent(b.Size)
		return nil
	}
	return p.take(ctx, func(ctx context.Context, moved func()) error {
		var last *reader
		mounted, err := p.opts.Registry.Upload(ctx, p.opts.Repository, p.opts.From(b.Digest), b, func() io.Reader {
			last.discount()
			last = &reader{ctx: ctx, from: open(), opts: &p.opts, moved: moved}
			return last
		})
		switch {
		case err != nil:
			last.discount()
		case mounted:
			p.opts.Sent(b.Size)
		}
		return err
	})
}

// Manifest puts a manifest or an index under its digest, or under a tag if that is not "".
func (p *Push) Manifest(ctx context.Context, m ocispec.Descriptor, tag string, body []byte) error {
	reference := tag
	if reference == "" {
		reference = m.Digest.String()
	}
	return p.take(ctx, func(ctx context.Context, _ func()) error {
		return p.opts.Registry.PutManifest(ctx, p.opts.Repository, reference, m.MediaType, body)
	})
}

// take makes a request when there is a slot for it, and again if it fails for a reason
// that may pass.
func (p *Push) take(ctx context.Context, do func(ctx context.Context, moved func()) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return again.Do(ctx, p.opts.Trouble, func() error { return p.within(ctx, do) })
}

// within ends a request that is silent for too long.
func (p *Push) within(ctx context.Context, do func(ctx context.Context, moved func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := fmt.Errorf("no progress for %v", p.opts.GiveUpAfter)
	timer := time.AfterFunc(p.opts.GiveUpAfter, func() { cancel(silent) })
	defer timer.Stop()
	return do(ctx, func() { timer.Reset(p.opts.GiveUpAfter) })
}

// reader reads a blob for the registry.
type reader struct {
	ctx   context.Context // of the request; net/http gives none to a body
	from  io.Reader
	opts  *Options
	moved func()

	mu   sync.Mutex // net/http may read on when its request has failed
	sent int64
	over bool
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if limited := r.opts.Limit(r.ctx, n); limited != nil {
		return 0, limited
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.moved()
		r.sent += int64(n)
		r.opts.Sent(int64(n))
	}
	return n, err
}

// discount takes back what a reader has counted, since its upload failed. A nil reader has
// counted nothing.
func (r *reader) discount() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opts.Sent(-r.sent)
	r.over = true
}
