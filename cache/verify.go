package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Verified is the result of Verify.
type Verified struct {
	Blobs   int             `json:"blobs"`   // that were hashed
	Bytes   int64           `json:"bytes"`   // of them
	Damaged []digest.Digest `json:"damaged"` // removed; [] if there are none
}

// Verify hashes every blob, as many at once as there are processors, and removes those
// with wrong bytes. The error is one of the file system, or the cause of ctx.
func (c *Cache) Verify(ctx context.Context) (Verified, error) {
	v := Verified{Damaged: []digest.Digest{}}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	err := walk(c.blobsDir(), func(_ string, file fs.DirEntry) error {
		d, ok := digestOf(file.Name())
		if !ok || !file.Type().IsRegular() {
			return nil
		}
		group.Go(func() error {
			size, right, err := c.verify(ctx, d)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it was evicted
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			v.Blobs++
			v.Bytes += size
			if !right {
				v.Damaged = append(v.Damaged, d)
			}
			return nil
		})
		return context.Cause(ctx)
	})
	err = errors.Join(group.Wait(), err)
	slices.Sort(v.Damaged)
	return v, err
}

// verify hashes a blob, and removes it if its bytes are wrong.
func (c *Cache) verify(ctx context.Context, d digest.Digest) (size int64, right bool, err error) {
	f, err := os.Open(c.blobPath(d))
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		right, err = isRight(ctx, f, d)
	}
	if err != nil {
		return 0, false, err
	}
	if !right {
		return info.Size(), false, c.Discard(ctx, d, f)
	}
	if r, _, ok := c.record(d); !ok || !r.isOf(info) {
		err = c.note(ctx, ocispec.Descriptor{Digest: d}, info)
	}
	return info.Size(), true, err
}
