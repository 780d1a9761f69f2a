package state

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
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

	// writing is locked by Replace, so that nobody else writes to what it
	// changes; those that only fill gaps share it.
	writing sync.RWMutex

	mu      sync.Mutex
	held    segment.Set // bytes that are recorded or being written
	records haves
	done    int64         // bytes recorded
	changed chan struct{} // closed when a record is added; nil if nobody waits
}

// Run is a run of recorded bytes, and the source that served them.
type Run struct {
	segment.Range
	Source string // its name, also if an earlier run of the program fetched them
}

// Size is the blob's size in bytes.
func (b *Blob) Size() int64 { return b.place.Size }

// Done is the number of bytes that are recorded.
func (b *Blob) Done() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}

// Missing returns the bytes that are neither recorded nor being written.
func (b *Blob) Missing() []segment.Range {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held.Without(segment.Range{End: b.place.Size})
}

// Runs says who served which of the recorded bytes: ascending, neighbours of
// one source merged.
func (b *Blob) Runs() []Run {
	b.mu.Lock()
	defer b.mu.Unlock()
	var runs []Run
	for _, h := range b.records {
		name := b.store.header.Sources[h.source]
		if n := len(runs); n > 0 && runs[n-1].End == h.Start && runs[n-1].Source == name {
			runs[n-1].End = h.End
			continue
		}
		runs = append(runs, Run{h.Range, name})
	}
	return runs
}

// Section reads the blob from the part file, unchecked. It goes on to work
// after the part file has become the archive.
func (b *Blob) Section() *io.SectionReader {
	return io.NewSectionReader(b.store.part, b.place.Offset, b.place.Size)
}

// Write puts bytes that came from a source at off, and records them. Bytes
// that are recorded already, or being written by another call, stay as they
// are.
func (b *Blob) Write(off int64, p []byte, source int) error {
	b.writing.RLock()
	defer b.writing.RUnlock()
	return b.inRecords(off, p, func(r segment.Range, p []byte) error {
		gaps := b.claim(r)
		for i, gap := range gaps {
			if err := b.fill(gap, p[gap.Start-r.Start:gap.End-r.Start], source); err != nil {
				b.unclaim(gaps[i:]...)
				return err
			}
		}
		return nil
	})
}

// Replace puts bytes that came from a source in the place of those at off,
// recorded or not, and records them as that source's. Records that p overlaps
// in part keep their rest. Cut short by a crash, it leaves bytes that their
// record does not fit, which are found and fetched again.
//
// Replace waits for the Writes to this blob that are under way.
func (b *Blob) Replace(off int64, p []byte, source int) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	return b.inRecords(off, p, func(r segment.Range, p []byte) error {
		if err := b.clear(r); err != nil {
			return err
		}
		b.claim(r)
		if err := b.fill(r, p, source); err != nil {
			b.unclaim(r)
			return err
		}
		return nil
	})
}

// inRecords calls fn for p, which belongs at off, in parts that one record can
// speak of.
func (b *Blob) inRecords(off int64, p []byte, fn func(segment.Range, []byte) error) error {
	if r := (segment.Range{Start: off, End: off + int64(len(p))}); !(segment.Range{End: b.place.Size}).Contains(r) {
		return fmt.Errorf("bytes %v are outside of a blob of %d bytes", r, b.place.Size)
	}
	for part := range slices.Chunk(p, MaxRecord) {
		r := segment.Range{Start: off, End: off + int64(len(part))}
		if err := fn(r, part); err != nil {
			return err
		}
		off = r.End
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

func (b *Blob) unclaim(ranges ...segment.Range) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range ranges {
		b.held.Remove(r)
	}
}

// fill writes bytes that the caller has claimed, and then records them.
func (b *Blob) fill(r segment.Range, p []byte, source int) error {
	if _, err := b.store.part.WriteAt(p, b.place.Offset+r.Start); err != nil {
		return err
	}
	return b.record(have{r, crc32.Checksum(p, castagnoli), b.store.sources[source]})
}

// record adds h, which overlaps no other record, to the log and to memory.
func (b *Blob) record(h have) error {
	if err := b.store.append(record{kindHave, h.source, uint32(b.index), h.Range, h.sum}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.insert(h)
	return nil
}

// insert adds h, which overlaps no other record, and wakes who waits for it.
func (b *Blob) insert(h have) {
	b.records.insert(h)
	b.held.Add(h.Range)
	b.done += h.Len()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// cut takes the records that share bytes with r out of memory.
func (b *Blob) cut(r segment.Range) []have {
	gone := b.records.cut(r)
	for _, h := range gone {
		b.held.Remove(h.Range)
		b.done -= h.Len()
	}
	return gone
}

// clear takes out the records that share bytes with r. What of them lies
// outside of r gets records of its own, which supersede the old one.
func (b *Blob) clear(r segment.Range) error {
	b.mu.Lock()
	gone := b.cut(r)
	b.mu.Unlock()
	for _, h := range gone {
		if r.Contains(h.Range) {
			continue // superseded as a whole by what is written next
		}
		if err := b.keep(h, segment.Range{Start: h.Start, End: min(h.End, r.Start)}, segment.Range{Start: max(h.Start, r.End), End: h.End}); err != nil {
			return err
		}
	}
	return nil
}

// keep records parts of the bytes that h spoke of, if those are undamaged.
func (b *Blob) keep(h have, parts ...segment.Range) error {
	buf := make([]byte, h.Len())
	ok, err := b.load(h, buf)
	if err != nil {
		return err
	}
	for _, r := range parts {
		if r.Empty() {
			continue
		}
		if !ok {
			b.store.Damaged(b.index, r)
			continue
		}
		sum := crc32.Checksum(buf[r.Start-h.Start:r.End-h.Start], castagnoli)
		if err := b.record(have{r, sum, h.source}); err != nil {
			return err
		}
	}
	return nil
}

// load reads the bytes that h speaks of into buf; ok says whether they are
// those that were written.
func (b *Blob) load(h have, buf []byte) (ok bool, err error) {
	n, err := b.store.part.ReadAt(buf[:h.Len()], b.place.Offset+h.Start)
	if err != nil && err != io.EOF {
		return false, err
	}
	return int64(n) == h.Len() && crc32.Checksum(buf[:n], castagnoli) == h.sum, nil
}

// Wait waits until the byte at off is recorded. The error is the cause of ctx.
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

// Read reads the bytes from off to the end of their record into buf, which has
// to hold MaxRecord bytes, and returns how many they are: 0 if they are not
// recorded. A record whose checksum is wrong is forgotten and reported to the
// Store's Damaged; then too the length is 0. The error is that of the files.
func (b *Blob) Read(off int64, buf []byte) (int, error) {
	h, changed := b.at(off)
	if changed != nil {
		return 0, nil
	}
	ok, err := b.load(h, buf)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, b.reject(h)
	}
	return copy(buf, buf[off-h.Start:h.Len()]), nil
}

// at returns the record that holds the byte at off, or a channel that is
// closed when more has come.
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

// reject forgets a record whose bytes were found damaged, unless another call
// has done so, or replaced them, since they were read.
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

// Forget gives up the records that share bytes with r, for good.
func (b *Blob) Forget(r segment.Range) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.forget(r)
}

// forget is Forget for who holds mu: until the log has it, nobody may write
// these bytes anew, or the log would have it that those are forgotten.
func (b *Blob) forget(r segment.Range) error {
	i, j := b.records.overlapping(r)
	for _, h := range b.records[i:j] {
		if err := b.store.append(record{kindForget, h.source, uint32(b.index), h.Range, 0}); err != nil {
			return err
		}
	}
	b.cut(r)
	return nil
}

// replay applies a record of an earlier run: later ones win.
func (b *Blob) replay(r record) {
	b.cut(r.bytes)
	if r.kind == kindHave {
		b.insert(have{r.bytes, r.sum, r.source})
	}
}
