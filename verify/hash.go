package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/segpull/segpull/segment"
)

// MaxRun is the most bytes that Content.Read returns at once.
const MaxRun = 256 << 10

// Content yields a blob's bytes in order. Its methods may be called from many
// goroutines.
type Content interface {
	// Wait returns nil when the byte at off has arrived. The error is one of the
	// disk, or the cause of ctx.
	Wait(ctx context.Context, off int64) error
	// Read reads bytes from off on into buf, which has room for MaxRun bytes,
	// and returns how many. It returns 0 where the disk has damaged them: Wait
	// then waits until they have arrived again.
	Read(off int64, buf []byte) (int, error)
}

// Frontier is how far a blob has been hashed. The zero Frontier is at the
// start. Offset may be called while Blob runs.
type Frontier struct{ offset atomic.Int64 }

// Offset is the length of the longest prefix that Blob has hashed, in bytes. It
// never falls, also if Blob hashes the blob a second time.
func (f *Frontier) Offset() int64 { return f.offset.Load() }

// MismatchError says that a blob's bytes are not those that its digest names.
type MismatchError struct {
	Want string // digest, e.g. "sha256:…"
	Got  string // the same of the bytes
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("digest mismatch: the bytes served for %s have the digest %s", e.Want, e.Got)
}

// Blob hashes the size bytes of src as they arrive, from the first one on, and
// compares the result with want, a "sha256:…" digest in lower case. The error is
// a *MismatchError, that of src, or the cause of ctx. Only one Blob may run on a
// Frontier at a time.
func (f *Frontier) Blob(ctx context.Context, src Content, want string, size int64) error {
	sum := sha256.New()
	r := &reader{ctx: ctx, src: src, end: size}
	for r.off < size {
		if err := r.hash(sum); err != nil {
			return err
		}
		f.offset.Store(max(r.off, f.offset.Load()))
	}
	if got := digest(sum); got != want {
		return &MismatchError{Want: want, Got: got}
	}
	return nil
}

// Section hashes the bytes of r, which are all there, as Blob does.
func (f *Frontier) Section(ctx context.Context, r *io.SectionReader, want string) error {
	return f.Blob(ctx, whole{r}, want, r.Size())
}

// whole is the Content of a blob that is complete.
type whole struct{ *io.SectionReader }

func (whole) Wait(context.Context, int64) error { return nil }

func (w whole) Read(off int64, buf []byte) (int, error) {
	n, err := w.ReadAt(buf, off)
	if n > 0 {
		return n, nil
	}
	return 0, err // another process has truncated the file
}

func digest(sum hash.Hash) string { return "sha256:" + hex.EncodeToString(sum.Sum(nil)) }

// reader reads a Content in order, up to end.
type reader struct {
	ctx      context.Context
	src      Content
	off, end int64
}

func (r *reader) wait() error {
	if r.ctx.Err() != nil { // src looks at it only where it has to wait
		return context.Cause(r.ctx)
	}
	return r.src.Wait(r.ctx, r.off)
}

// Read waits for bytes. p must have room for MaxRun of them.
func (r *reader) Read(p []byte) (n int, err error) {
	for n == 0 {
		if r.off >= r.end {
			return 0, io.EOF
		}
		if err := r.wait(); err != nil {
			return 0, err
		}
		if n, err = r.src.Read(r.off, p); err != nil {
			return 0, err
		}
		n = int(min(int64(n), r.end-r.off))
	}
	r.off += int64(n)
	return n, nil
}

var buffers = sync.Pool{New: func() any { return new([MaxRun]byte) }}

// hash waits for a run of bytes and hashes it. It holds a buffer only while
// there is something to hash: an image may have many blobs that wait.
func (r *reader) hash(sum hash.Hash) error {
	if err := r.wait(); err != nil {
		return err
	}
	buf := buffers.Get().(*[MaxRun]byte)
	defer buffers.Put(buf)
	n, err := r.Read(buf[:])
	sum.Write(buf[:n])
	return err
}

// readRange reads all of r, which should be short. It is nil where the disk has
// damaged some of it, which is no source's fault.
func readRange(src Content, r segment.Range) (p []byte, err error) {
	buf := buffers.Get().(*[MaxRun]byte)
	defer buffers.Put(buf)
	for at := r.Start; at < r.End; {
		n, err := src.Read(at, buf[:])
		if n == 0 || err != nil {
			return nil, err
		}
		n = int(min(int64(n), r.End-at))
		p = append(p, buf[:n]...)
		at += int64(n)
	}
	return p, nil
}
