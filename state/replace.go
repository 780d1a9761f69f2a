package state

import (
	"hash/crc32"

	"github.com/segpull/segpull/segment"
)

// Replace writes the bytes p of a source at the offset off, whether bytes there are
// recorded or not, and records them. Of a record that p overlaps in part, the other
// bytes stay recorded. After a crash during Replace, bytes may not have the checksum
// of their record: the Store finds them, and they are fetched again.
//
// Replace waits for the calls of Write to this blob that run.
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

// clear removes the records that share bytes with r. Parts of them outside of r get
// new records, which supersede the old one.
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

// keep records parts of the bytes that h covered, if those are undamaged.
func (b *Blob) keep(h have, parts ...segment.Range) error {
	buf := buffers.Get().(*[MaxRecord]byte)
	defer buffers.Put(buf)
	ok, err := h.read(b.store.part, b.place, buf[:h.Len()])
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
