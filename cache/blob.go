package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// hashBlock is how many bytes are hashed between two checks of a context.
const hashBlock = 1 << 20

// Open opens a blob for reading, and marks it as used. It hashes the blob first if its
// file is not as it was when it was verified, and removes it if its bytes are wrong.
// The error wraps fs.ErrNotExist if the cache does not have the blob; otherwise it is
// one of the file system, or the cause of ctx. The caller closes the file, and never
// writes to it.
func (c *Cache) Open(ctx context.Context, d digest.Digest) (*os.File, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	f, err := os.Open(c.blobPath(d))
	if err != nil {
		return nil, err
	}
	if err := c.confirm(ctx, f, d); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// confirm returns nil if the bytes of a blob's file are right.
func (c *Cache) confirm(ctx context.Context, f *os.File, d digest.Digest) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if c.recent.has(d, info) {
		return nil
	}
	if r, used, ok := c.record(d); ok && r.isOf(info) {
		c.touch(d, used)
		c.recent.add(d, info)
		return nil
	}
	switch right, err := isRight(ctx, f, d); {
	case err != nil:
		return err
	case right:
		return c.note(ctx, ocispec.Descriptor{Digest: d}, info)
	}
	return c.damaged(ctx, d, f)
}

// damaged removes a blob whose bytes are wrong, and returns an error that says so.
func (c *Cache) damaged(ctx context.Context, d digest.Digest, f *os.File) error {
	return errors.Join(c.Discard(ctx, d, f), fmt.Errorf("blob %s was damaged: %w", d, fs.ErrNotExist))
}

// recent are the files whose records were read within touchInterval: a blob that many
// clients ask for at once costs one look at its record, and is touched once.
type recent struct {
	mu    sync.Mutex // guards what follows
	since time.Time
	files map[digest.Digest]fs.FileInfo
}

// has reports whether the file of a blob, as info describes it, is one of them.
func (r *recent) has(d digest.Digest, info fs.FileInfo) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.files[d]
	return ok && time.Since(r.since) < touchInterval && known.Size() == info.Size() && known.ModTime().Equal(info.ModTime())
}

func (r *recent) add(d digest.Digest, info fs.FileInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil || time.Since(r.since) >= touchInterval {
		r.since, r.files = time.Now(), make(map[digest.Digest]fs.FileInfo)
	}
	r.files[d] = info
}

// isRight reports whether the bytes of a file have a digest.
func isRight(ctx context.Context, f *os.File, d digest.Digest) (bool, error) {
	sum := sha256.New()
	for off := int64(0); ; off += hashBlock {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		n, err := io.Copy(sum, io.NewSectionReader(f, off, hashBlock))
		if err != nil {
			return false, err
		}
		if n < hashBlock {
			return digest.NewDigest(digest.SHA256, sum) == d, nil
		}
	}
}

// note records that the bytes of a blob's file are right. Of the descriptor, it needs
// the digest.
func (c *Cache) note(ctx context.Context, d ocispec.Descriptor, info fs.FileInfo) error {
	return c.change(ctx, func() error {
		r, _, _ := c.record(d.Digest)
		if r.MediaType == "" {
			r.MediaType = d.MediaType
		}
		r.Size, r.Verified = info.Size(), info.ModTime().UnixNano()
		return c.writeRecord(d.Digest, r)
	})
}

// Discard removes a blob whose bytes are wrong, unless another file than f has its
// place by now.
func (c *Cache) Discard(ctx context.Context, d digest.Digest, f *os.File) error {
	return c.change(ctx, func() error {
		wrong, err := f.Stat()
		if err != nil {
			return err
		}
		if now, err := os.Lstat(c.blobPath(d)); err != nil || !os.SameFile(now, wrong) {
			return nil
		}
		return os.Remove(c.blobPath(d))
	})
}

// Describe returns the media type and the size of a blob, also of one that is not here
// yet, if a manifest that is or was here names it. The error wraps fs.ErrNotExist if
// nothing is known of it.
func (c *Cache) Describe(d digest.Digest) (ocispec.Descriptor, error) {
	if err := check(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	r, _, ok := c.record(d)
	if !ok {
		return ocispec.Descriptor{}, fmt.Errorf("blob %s is not known: %w", d, fs.ErrNotExist)
	}
	return ocispec.Descriptor{MediaType: r.MediaType, Digest: d, Size: r.Size}, nil
}

// Manifest returns a manifest or an index with its media type, after it has checked the
// digest, and marks it as used. The error wraps fs.ErrNotExist if PutManifest has not
// put it here, or if it was damaged.
func (c *Cache) Manifest(ctx context.Context, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	if err := check(d); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	r, used, ok := c.record(d)
	if !ok || r.Refers == nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("manifest %s is not in the cache: %w", d, fs.ErrNotExist)
	}
	f, err := os.Open(c.blobPath(d))
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, image.MaxManifestSize))
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if digest.FromBytes(body) != d {
		return ocispec.Descriptor{}, nil, c.damaged(ctx, d, f)
	}
	c.touch(d, used)
	return ocispec.Descriptor{MediaType: r.MediaType, Digest: d, Size: int64(len(body))}, body, nil
}

// Lacks returns what a manifest or an index names that is not here. Of an index, one image
// is enough: then it returns nothing. The error wraps fs.ErrNotExist if PutManifest has not
// put the manifest here.
func (c *Cache) Lacks(d digest.Digest) (missing []digest.Digest, err error) {
	const mostDepth = 3 // an index of an index of images
	return c.lacks(d, mostDepth)
}

func (c *Cache) lacks(d digest.Digest, depth int) (missing []digest.Digest, err error) {
	if err := check(d); err != nil {
		return nil, err
	}
	r, _, ok := c.record(d)
	if !ok || r.Refers == nil || depth == 0 || !c.has(d) {
		return nil, fmt.Errorf("manifest %s is not in the cache: %w", d, fs.ErrNotExist)
	}
	for _, b := range r.Refers {
		inner, err := c.lacks(b.Digest, depth-1)
		if err == nil && len(inner) == 0 {
			return nil, nil
		}
		if err == nil || !c.has(b.Digest) {
			missing = append(missing, b.Digest)
		}
	}
	return missing, nil
}

func (c *Cache) has(d digest.Digest) bool {
	_, err := os.Lstat(c.blobPath(d))
	return err == nil
}

// Read returns a small blob, after it has checked the digest, and marks it as used. The
// error wraps fs.ErrNotExist if the blob is not here with this size, or was damaged.
func (c *Cache) Read(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	f, err := c.Open(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != d.Size {
		return nil, fmt.Errorf("blob %s has %d bytes, not %d: %w", d.Digest, info.Size(), d.Size, fs.ErrNotExist)
	}
	body := make([]byte, d.Size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, d.Size), body); err != nil || digest.FromBytes(body) != d.Digest {
		return nil, c.damaged(ctx, d.Digest, f)
	}
	return body, nil
}
