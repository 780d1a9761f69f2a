package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
)

// MaxRun is the most bytes that Content.Read returns at once.
const MaxRun = 256 << 10

// Content yields a blob's bytes in order.
type Content interface {
	// Wait waits until the byte at off has arrived.
	Wait(ctx context.Context, off int64) error
	// Read reads bytes from off on into buf, which has room for MaxRun bytes,
	// and returns how many: 0 if they turned out to be damaged and are to be
	// waited for again.
	Read(off int64, buf []byte) (int, error)
}

// Frontier is how far a blob has been hashed. The zero Frontier is at the
// start. Offset may be called while Blob runs.
type Frontier struct{ offset atomic.Int64 }

// Offset is the length of the prefix that has been hashed, in bytes.
func (f *Frontier) Offset() int64 { return f.offset.Load() }

// MismatchError says that a blob's bytes are not those that its digest names.
type MismatchError struct {
	Want string // digest, e.g. "sha256:…"
	Got  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("digest mismatch: the bytes served for %s are %s", e.Want, e.Got)
}

var buffers = sync.Pool{New: func() any { return new([MaxRun]byte) }}

// Blob hashes the size bytes of src as they arrive, from the first one on, and
// compares the result with want, a "sha256:…" digest. The error is a
// *MismatchError, that of src, or the cause of ctx. Only one Blob may run on a
// Frontier at a time.
func (f *Frontier) Blob(ctx context.Context, src Content, want string, size int64) error {
	f.offset.Store(0)
	hash := sha256.New()
	for off := int64(0); off < size; off = f.offset.Load() {
		n, err := f.step(ctx, src, off, hash.Write)
		if err != nil {
			return err
		}
		f.offset.Store(off + int64(n))
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); got != want {
		return &MismatchError{Want: want, Got: got}
	}
	return nil
}

// step waits for a run of bytes and hashes it. It holds a buffer only while
// there is something to hash: an image may have many blobs that wait.
func (f *Frontier) step(ctx context.Context, src Content, off int64, write func([]byte) (int, error)) (int, error) {
	if ctx.Err() != nil { // src looks at it only where it has to wait
		return 0, context.Cause(ctx)
	}
	if err := src.Wait(ctx, off); err != nil {
		return 0, err
	}
	buf := buffers.Get().(*[MaxRun]byte)
	defer buffers.Put(buf)
	n, err := src.Read(off, buf[:])
	if err != nil {
		return 0, err
	}
	return write(buf[:n])
}
