package state

import (
	"context"
	"hash/crc32"
	"io"
	"sync"

	"github.com/segpull/segpull/segment"
)

var buffers = sync.Pool{New: func() any { return new([MaxRecord]byte) }}

// read reads the bytes that h covers, of the blob at place, into p; ok reports
// whether they have the recorded checksum.
func (h have) read(part io.ReaderAt, place Placement, p []byte) (ok bool, err error) {
	n, err := part.ReadAt(p, place.Offset+h.Start)
	if err != nil && err != io.EOF {
		return false, err
	}
	return n == len(p) && crc32.Checksum(p, castagnoli) == h.sum, nil
}

// Wait waits until the byte at off is recorded. Its error is the cause of ctx.
func (b *Blob) Wait(ctx context.Context, off int64) error {
	for {
		_, changed := b.at(off)
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Read reads the bytes from off to the end of their record into buf, whose length
// must be at least MaxRecord, and returns their number: 0 if the byte at off is not
// recorded. If the checksum of the record is wrong, Read forgets it, calls
// Store.Damaged, and returns 0. The error is one of the file system.
func (b *Blob) Read(off int64, buf []byte) (int, error) {
	h, changed := b.at(off)
	if changed != nil {
		return 0, nil
	}
	ok, err := h.read(b.store.part, b.place, buf[:h.Len()])
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, b.reject(h)
	}
	return copy(buf, buf[off-h.Start:h.Len()]), nil
}

// at returns the record that has the byte at off, or a channel that is closed when
// the next record is added.
func (b *Blob) at(off int64) (have, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h, ok := b.records.at(off); ok {
		return h, nil
	}
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return have{}, b.changed
}

// reject forgets a record whose bytes are damaged, unless another call has forgotten
// or replaced it since the read.
func (b *Blob) reject(h have) error {
	b.mu.Lock()
	now, ok := b.records.at(h.Start)
	if !ok || now != h {
		b.mu.Unlock()
		return nil
	}
	err := b.forget(h.Range)
	b.mu.Unlock()
	if err == nil {
		b.store.Damaged(b.index, h.Range)
	}
	return err
}

// Forget removes the records that share bytes with r. All bytes of these records are
// missing from now on, also after another Open.
func (b *Blob) Forget(r segment.Range) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.forget(r)
}

// forget is Forget with mu held: until the log has the record, no call may write
// these bytes again, or the log would discard those.
func (b *Blob) forget(r segment.Range) error {
	i, j := b.records.overlapping(r)
	for _, h := range b.records[i:j] {
		if err := b.store.log.append(record{kindForget, h.source, uint32(b.index), h.Range, 0}); err != nil {
			return err
		}
	}
	b.cut(r)
	return nil
}
