package state

import (
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/segpull/segpull/segment"
)

// MaxRecord is the most bytes that a record covers, and the size of a buffer for
// Blob.Read.
const MaxRecord = 256 << 10

// Blob is one blob of a Store.
type Blob struct {
	store *Store
	index int
	place Placement

	// Replace locks writing, so that no other call writes to the bytes that it
	// changes; calls that only fill gaps share it.
	writing sync.RWMutex

	mu      sync.Mutex
	held    segment.Set // bytes that are recorded or being written
	records haves
	done    int64           // bytes recorded
	altered []segment.Range // that were recorded, and went missing or were replaced, in this order
	changed chan struct{}   // closed when a record is added; nil if no caller waits
}

// Run is a range of recorded bytes that one source served.
type Run struct {
	segment.Range
	Source string // its name, which an earlier process may have recorded
}

// Size returns the size of the blob in bytes.
func (b *Blob) Size() int64 { return b.place.Size }

// Done returns the number of bytes that are recorded.
func (b *Blob) Done() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}

// Prefix returns the number of bytes from the start of the blob that are recorded or
// being written, without a gap.
func (b *Blob) Prefix() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held.Len() == 0 || b.held.First().Start > 0 {
		return 0
	}
	return b.held.First().End
}

// Missing returns the ranges of bytes that are neither recorded nor being written,
// in ascending order.
func (b *Blob) Missing() []segment.Range {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held.Without(segment.Range{End: b.place.Size})
}

// Recorded returns the end of the bytes from off on that are recorded without a gap, but
// not more than most of them: off, if the byte there is not.
func (b *Blob) Recorded(off, most int64) (end int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := b.records.overlapping(segment.Range{Start: off, End: off + 1})
	for end = off; i < len(b.records) && b.records[i].Start <= end && end < off+most; i++ {
		end = b.records[i].End
	}
	return min(end, off+most)
}

// Alterations returns how often recorded bytes have gone missing, or have been replaced,
// since Open.
func (b *Blob) Alterations() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.altered)
}

// Altered reports whether that has happened to a record with bytes of r since
// Alterations returned since.
func (b *Blob) Altered(since int, r segment.Range) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.altered[since:], func(a segment.Range) bool {
		return a.Start < r.End && r.Start < a.End
	})
}

// Runs returns the recorded bytes with their sources, in ascending order. It merges
// adjacent records of one source.
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

// Section returns a reader of the blob's bytes in the part file, which does not check
// their records. It also works after the part file has become the output, until
// Store.Close.
func (b *Blob) Section() *io.SectionReader {
	return io.NewSectionReader(b.store.part, b.place.Offset, b.place.Size)
}

// Write writes the bytes p of a source at the offset off, and records them, except
// those that are recorded already or that another call is writing. It fails if p
// does not fit in the blob.
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

// inRecords calls fn for p, which belongs at off, in parts that one record can
// cover.
func (b *Blob) inRecords(off int64, p []byte, fn func(segment.Range, []byte) error) error {
	if r := (segment.Range{Start: off, End: off + int64(len(p))}); !(segment.Range{End: b.place.Size}).Contains(r) {
		return fmt.Errorf("bytes %v are outside a blob of %d bytes", r, b.place.Size)
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

// claim returns the parts of r that are neither recorded nor claimed. From now on,
// only the caller writes to them.
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
	b.store.unsynced.Add(r.Len())
	return b.record(have{r, crc32.Checksum(p, castagnoli), b.store.sources[source]})
}

// record adds h, which overlaps no other record, to the log and to memory.
func (b *Blob) record(h have) error {
	if err := b.store.log.append(record{kindHave, h.source, uint32(b.index), h.Range, h.sum}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.insert(h)
	return nil
}

// insert adds h, which overlaps no other record, and wakes those that wait for it.
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
		b.altered = append(b.altered, h.Range)
		b.held.Remove(h.Range)
		b.done -= h.Len()
	}
	return gone
}
