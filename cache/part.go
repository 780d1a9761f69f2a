package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/state"
)

// busyInterval is how often Begin looks whether a Part of another process has ended.
const busyInterval = 20 * time.Millisecond

// Part is a blob that is being fetched. Its bytes stay in the cache when it is closed,
// and whatever ends the process.
type Part struct {
	cache *Cache
	blob  ocispec.Descriptor
	store *state.Store
}

// BusyError says that another Part has a blob, in this process or another, and that no
// byte of any blob has arrived for some time.
type BusyError struct {
	Digest digest.Digest
	Dir    string // of the cache
	Silent time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("another process fetches blob %s into the cache %s, and nothing has arrived there for %v: end it, or use another --cache-dir",
		e.Digest, e.Dir, e.Silent)
}

// Begin returns a Part for a blob that the cache does not have, with the bytes of it
// that an earlier Part has left. Of the descriptor, it needs digest and size. The
// sources are those of state.Open.
//
// While another Part has the blob, Begin waits until that has ended, or until no byte of
// any blob has arrived for the given time; then the error is a *BusyError. If the cache
// has the blob, the error wraps fs.ErrExist. Otherwise it is one of the file system, or
// the cause of ctx. Close the Part.
func (c *Cache) Begin(ctx context.Context, blob ocispec.Descriptor, sources []string, wait time.Duration) (*Part, error) {
	var moved, since time.Time
	for {
		p, err := c.begin(ctx, blob, sources)
		if _, locked := errors.AsType[*state.LockedError](err); !locked {
			return p, err
		}
		if last := c.moved(); since.IsZero() || last.After(moved) {
			moved, since = last, time.Now()
		}
		if time.Since(since) >= wait {
			return nil, &BusyError{blob.Digest, c.dir, wait}
		}
		select {
		case <-time.After(busyInterval):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// moved returns when a byte last arrived in any Part: a process takes its blobs in turn.
func (c *Cache) moved() (last time.Time) {
	_ = walk(c.partsDir(), func(_ string, file fs.DirEntry) error {
		if info, err := file.Info(); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	return last
}

func (c *Cache) begin(ctx context.Context, blob ocispec.Descriptor, sources []string) (*Part, error) {
	if err := c.absent(ctx, blob.Digest); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.partsDir(), 0o700); err != nil {
		return nil, err
	}
	place := state.Placement{Digest: string(blob.Digest), Size: blob.Size}
	store, err := state.Open(ctx, c.partPath(blob.Digest), []state.Placement{place}, sources)
	if err != nil {
		return nil, err
	}
	// Another Part may have ended since, or a process after it had committed.
	if err := c.absent(ctx, blob.Digest); err != nil {
		return nil, errors.Join(err, store.Remove(), store.Close())
	}
	return &Part{c, blob, store}, nil
}

// absent returns nil if the cache does not have a blob.
func (c *Cache) absent(ctx context.Context, d digest.Digest) error {
	f, err := c.Open(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Close()
	return fmt.Errorf("blob %s is in the cache: %w", d, fs.ErrExist)
}

// Arrived returns how many bytes of a blob have arrived in a Part, which may be open or
// closed; 0 without a Part.
func (c *Cache) Arrived(d digest.Digest) int64 {
	if check(d) != nil {
		return 0
	}
	return state.Recorded(c.partPath(d))[d.String()]
}

// Follow returns a reader of a blob while a Part of any process fetches it, or of what one
// has left. Of the descriptor, it needs digest and size. The error says why the digest is
// invalid. Close the reader.
func (c *Cache) Follow(blob ocispec.Descriptor) (*state.Follower, error) {
	if err := check(blob.Digest); err != nil {
		return nil, err
	}
	return state.Follow(c.partPath(blob.Digest), string(blob.Digest), blob.Size), nil
}

// Scratch returns a temporary file for a transfer. It has no name that others could open.
// The caller closes it.
func (c *Cache) Scratch() (*os.File, error) {
	if err := os.MkdirAll(c.partsDir(), 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(c.partsDir(), "scratch-")
	if err == nil {
		_ = os.Remove(f.Name()) // on Windows, it stays
	}
	return f, err
}

// Discard removes all bytes of the blob, since none of them can be trusted. The Part is
// still to be closed.
func (p *Part) Discard() error { return p.store.Remove() }

// Store returns where to write the blob: the one with index 0.
func (p *Part) Store() *state.Store { return p.store }

// Commit makes the blob appear in the cache. Call it once, when the Part has all bytes
// and their digest is right, which Commit does not check. The store stays readable
// until Close, also if the blob is evicted.
func (p *Part) Commit(ctx context.Context) error {
	path := p.cache.blobPath(p.blob.Digest)
	if err := os.MkdirAll(p.cache.blobsDir(), 0o700); err != nil {
		return err
	}
	if err := p.store.PromotePart(path, p.blob.Size); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err == nil {
		err = p.cache.note(ctx, p.blob, info)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil // another process has evicted it since
	}
	return errors.Join(err, p.store.Remove())
}

// Close ends the Part, and lets another one begin.
func (p *Part) Close() error { return p.store.Close() }
