package cache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/state"
)

// Evicted is what was removed to make room.
type Evicted struct {
	Images int   `json:"images"` // with or without a name
	Blobs  int   `json:"blobs"`
	Bytes  int64 `json:"bytes"` // of blobs and unfinished ones
}

const (
	// freeShare is the part of its file system that the cache leaves free, in percent, but
	// mostFree is enough, in bytes: on a large disk, 5 % may be more than all images.
	freeShare = 5
	mostFree  = 10 << 30

	// Room reads the directory again when this process has asked for an eighth of the room
	// that was left, or after sizeValid: other processes fill the same room.
	roomShare = 8
	sizeValid = time.Minute
)

// Room makes room for so many more bytes: if the cache would be above its limit with
// them, it evicts the images that were least recently used, until it would be at 90 %
// of the limit. If its file system would have less than 5 % free, or less than 10 GiB on
// a large one, it evicts until that has as much. Blobs that no image needs, and what ended
// processes have left of others, are evicted by their own age. It does not evict the
// image keep, a digest of a manifest or an index, "" for none, nor running Parts: so the
// cache may stay above its limit, and another Room without keep evicts the image when it
// is not needed any more.
//
// While far less than that is asked for, Room does not look at the directory, for a minute
// at most: what eight processes add in that time may fill the cache to its limit, and what
// more of them add may exceed it.
//
// The error is one of the file system, or the cause of ctx.
func (c *Cache) Room(ctx context.Context, bytes int64, keep digest.Digest) (Evicted, error) {
	lacking := c.lacking(bytes)
	if lacking <= 0 && c.room.take(bytes) {
		return Evicted{}, nil
	}
	size, err := c.size()
	if err != nil {
		return Evicted{}, err
	}
	c.room.set(c.limit - size - bytes)
	most := size
	if size+bytes > c.limit {
		most = c.limit/10*9 - bytes
	}
	most = min(most, size-lacking)
	if most >= size {
		return Evicted{}, nil
	}
	c.room.set(0)
	return c.evict(ctx, most, time.Time{}, keep)
}

// lacking is how many bytes the file system has too few for so many more; negative if it
// has enough.
func (c *Cache) lacking(bytes int64) int64 {
	free, total, known := c.space(c.dir)
	if !known {
		return 0
	}
	return min(total/100*freeShare, mostFree) + bytes - free
}

// room is how many bytes this process may add before Room reads the directory again.
type room struct {
	mu   sync.Mutex
	left int64
	read time.Time // when the directory was read
}

// set takes what is left below the limit.
func (r *room) set(left int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.read = left/roomShare, time.Now()
}

// take takes so many bytes, and reports whether they were left.
func (r *room) take(bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left <= bytes || time.Since(r.read) >= sizeValid {
		return false
	}
	r.left -= bytes
	return true
}

// Prune evicts in the same way what was last used before a time, the zero time for
// nothing, and then until the cache is not above its limit. It keeps no image.
func (c *Cache) Prune(ctx context.Context, before time.Time) (Evicted, error) {
	size, err := c.size()
	if err != nil || size == 0 || size <= c.limit && before.IsZero() {
		return Evicted{}, err
	}
	return c.evict(ctx, c.limit, before, "")
}

// evict evicts what was last used before a time, and until the cache has at most so many
// bytes.
func (c *Cache) evict(ctx context.Context, most int64, before time.Time, keep digest.Digest) (done Evicted, err error) {
	err = c.change(ctx, func() error {
		e, err := c.newEviction(ctx)
		if err != nil {
			return err
		}
		err = e.run(ctx, most, before, keep)
		done = e.done
		return err
	})
	return done, err
}

// eviction removes the least recently used, while the cache is locked.
type eviction struct {
	index *index
	cache *Cache
	size  int64 // of the cache
	done  Evicted
}

// victim is what is evicted at once.
type victim struct {
	used  time.Time
	evict func(ctx context.Context) error
}

func (c *Cache) newEviction(ctx context.Context) (*eviction, error) {
	x, err := c.scan(ctx)
	if err != nil {
		return nil, err
	}
	e := &eviction{index: x, cache: c}
	for _, b := range x.blobs {
		if b.here {
			e.size += b.Size
		}
	}
	for _, p := range x.parts {
		e.size += p.size
	}
	return e, nil
}

// run evicts the least recently used first, as evict says.
func (e *eviction) run(ctx context.Context, most int64, before time.Time, keep digest.Digest) error {
	var all []victim
	for _, r := range e.index.roots {
		if r.digest != keep {
			all = append(all, victim{r.used, func(context.Context) error { return e.image(r) }})
		}
	}
	for _, d := range e.index.orphans {
		all = append(all, victim{e.index.blobs[d].used, func(context.Context) error { return e.blob(d) }})
	}
	for _, p := range e.index.parts {
		all = append(all, victim{p.used, func(ctx context.Context) error { return e.part(ctx, p) }})
	}
	slices.SortStableFunc(all, func(a, b victim) int { return a.used.Compare(b.used) })
	for _, v := range all {
		if e.size <= most && !v.used.Before(before) {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := v.evict(ctx); err != nil {
			return err
		}
	}
	return nil
}

// image removes the names of an image first: what a kill then leaves has no name.
func (e *eviction) image(r *root) error {
	for _, n := range r.names {
		path, err := e.cache.namePath(n.reference())
		if err == nil {
			err = remove(path)
		}
		if err != nil {
			return err
		}
		for dir := filepath.Dir(path); dir != e.cache.namesDir() && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	e.done.Images++
	for _, d := range r.blobs {
		if e.index.shared[d]--; e.index.shared[d] > 0 {
			continue
		}
		if err := e.blob(d); err != nil {
			return err
		}
	}
	return nil
}

func (e *eviction) blob(d digest.Digest) error {
	b := e.index.blobs[d]
	if err := errors.Join(remove(e.cache.blobPath(d)), remove(e.cache.recordPath(d))); err != nil {
		return err
	}
	if b.here {
		e.size -= b.Size
		e.done.Blobs++
		e.done.Bytes += b.Size
	}
	return nil
}

// part removes what an ended process has left of a blob.
func (e *eviction) part(ctx context.Context, p part) error {
	store, err := state.Open(ctx, e.cache.partPath(p.digest), nil, nil)
	if _, running := errors.AsType[*state.LockedError](err); running {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(store.Remove(), store.Close()); err != nil {
		return err
	}
	e.size -= p.size
	e.done.Bytes += p.size
	return nil
}
