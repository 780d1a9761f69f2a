package state

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"sync"

	"github.com/segpull/segpull/segment"
)

// MaxRecord is the most bytes that one record speaks of, and so the size of a
// buffer for Read.
const MaxRecord = 256 << 10

// Blob is the part of a Store that holds one blob.
type Blob struct {
	store *Store
	index int
	place Placement

	mu      sync.Mutex
	held    segment.Set // bytes that are recorded or being written
	records []have      // ascending, without overlaps
	done    int64       // bytes recorded
	changed chan struct{}
}

// have is a run of bytes that is on disk.
type have struct {
	segment.Range
	sum    uint32
	source uint16
}

// Size is the blob's size in bytes.
func (b *Blob) Size() int64 { return b.place.Size }

// Done is the number of bytes that are recorded.
func (b *Blob) Done() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}

// Missing returns the bytes that are not recorded.
func (b *Blob) Missing() []segment.Range {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held.Without(segment.Range{End: b.place.Size})
}

// Section reads the blob from the part file, unchecked. It goes on to work
// after the part file has become the archive.
func (b *Blob) Section() *io.SectionReader {
	return io.NewSectionReader(b.store.part, b.place.Offset, b.place.Size)
}

// Write puts bytes that came from a source at off, and records them. Bytes
// that are recorded already stay as they are.
func (b *Blob) Write(off int64, p []byte, source int) error {
	for len(p) > MaxRecord {
		if err := b.Write(off, p[:MaxRecord], source); err != nil {
			return err
		}
		off, p = off+MaxRecord, p[MaxRecord:]
	}
	r := segment.Range{Start: off, End: off + int64(len(p))}
	if !(segment.Range{End: b.place.Size}).Contains(r) {
		return fmt.Errorf("bytes %v are outside of a blob of %d bytes", r, b.place.Size)
	}
	for _, gap := range b.claim(r) {
		if err := b.fill(gap, p[gap.Start-off:gap.End-off], source); err != nil {
			b.unclaim(gap)
			return err
		}
	}
	return nil
}

// claim returns the parts of r that nobody has written, which are the
// caller's to write from now on.
func (b *Blob) claim(r segment.Range) []segment.Range {
	b.mu.Lock()
	defer b.mu.Unlock()
	gaps := b.held.Without(r)
	b.held.Add(r)
	return gaps
}

func (b *Blob) unclaim(r segment.Range) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held.Remove(r)
}

func (b *Blob) fill(r segment.Range, p []byte, source int) error {
	if _, err := b.store.part.WriteAt(p, b.place.Offset+r.Start); err != nil {
		return err
	}
	h := have{r, crc32.Checksum(p, castagnoli), b.store.sources[source]}
	if err := b.store.append(record{kindHave, h.source, uint32(b.index), r, h.sum}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.insert(h)
	return nil
}

// insert adds a record that overlaps no other, and wakes who waits for it.
func (b *Blob) insert(h have) {
	i := b.after(h.Start)
	b.records = slices.Insert(b.records, i, h)
	b.held.Add(h.Range)
	b.done += h.Len()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// after is the index of the first record that ends behind off.
func (b *Blob) after(off int64) int {
	return sort.Search(len(b.records), func(i int) bool { return b.records[i].End > off })
}

// Wait waits until the bytes at off, where a run ended or the blob begins, are
// recorded. The error is the cause of ctx.
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

// Read reads the run of bytes that begins at off into buf, which has to hold
// MaxRecord bytes, and returns its length. A run whose checksum is wrong is
// forgotten and reported to the Store's Damaged; the length is 0 then. The
// error is that of the part file.
func (b *Blob) Read(off int64, buf []byte) (int, error) {
	h, changed := b.at(off)
	if changed != nil {
		return 0, nil
	}
	n, err := b.store.part.ReadAt(buf[:h.Len()], b.place.Offset+h.Start)
	if err != nil && err != io.EOF {
		return 0, err
	}
	if int64(n) == h.Len() && crc32.Checksum(buf[:n], castagnoli) == h.sum {
		return n, nil
	}
	if err := b.Forget(h.Range); err != nil {
		return 0, err
	}
	b.store.Damaged(b.index, h.Range)
	return 0, nil
}

// at returns the record that begins at off, or a channel that is closed when
// more has come.
func (b *Blob) at(off int64) (have, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.after(off); i < len(b.records) && b.records[i].Start == off {
		return b.records[i], nil
	}
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return have{}, b.changed
}

// Forget gives up the records that share bytes with r, for good.
func (b *Blob) Forget(r segment.Range) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.after(r.Start)
	j := i
	for ; j < len(b.records) && b.records[j].Start < r.End; j++ {
		gone := b.records[j]
		if err := b.store.append(record{kindForget, gone.source, uint32(b.index), gone.Range, 0}); err != nil {
			return err
		}
		b.held.Remove(gone.Range)
		b.done -= gone.Len()
	}
	b.records = slices.Delete(b.records, i, j)
	return nil
}

// replay applies a record of an earlier run: later ones win.
func (b *Blob) replay(r record) {
	i := b.after(r.bytes.Start)
	j := i
	for ; j < len(b.records) && b.records[j].Start < r.bytes.End; j++ {
		b.held.Remove(b.records[j].Range)
		b.done -= b.records[j].Len()
	}
	b.records = slices.Delete(b.records, i, j)
	if r.kind == kindHave {
		b.insert(have{r.bytes, r.sum, r.source})
	}
}
