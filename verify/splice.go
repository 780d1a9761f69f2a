package verify

import (
	"bufio"
	"context"

	"github.com/segpull/segpull/internal/layer"
	"github.com/segpull/segpull/segment"
)

const (
	// lookBack is how far before a break the wrong byte is at most: a block of
	// the compression, 128 KiB in zstd (RFC 8878, 3.1.1.2.4), and about as much
	// in what gzip makes.
	lookBack = 128 << 10

	// checksum is how long the end of a layer is, in bytes, where a break is
	// that of a checksum, which does not say where the wrong byte is.
	checksum = 64

	// mostAhead is the part of a blob, as a divisor, that is fetched beyond a
	// break. So the layer is decompressed few times, however it breaks.
	mostAhead = 16
)

// findBreak returns where a layer of size bytes breaks, as far as it goes up to
// end; layer.Unbroken if it does not, or only at its checksum.
func findBreak(ctx context.Context, src Content, size, end int64) (int64, error) {
	at, err := layer.FindBreak(bufio.NewReaderSize(&reader{ctx: ctx, src: src, end: end}, MaxRun), size)
	if at >= size-checksum {
		at = layer.Unbroken
	}
	return at, err
}

// splice follows the breaks of a layer: the bytes around one are fetched from
// other sources too, and used where the layer goes on beyond them. So only about
// as much is fetched again as was wrong, and each of several corrupt sources may
// have sent other bytes right. It returns true if it has repaired the blob. Else
// no source is excluded, and what was fetched helps later steps.
func (c *check) splice(ctx context.Context) (right bool, err error) {
	size := c.blob.Size()
	over := c.stored()
	at, err := findBreak(ctx, over, size, size)
	if err != nil || at == layer.Unbroken {
		return false, err
	}
	// Wrong bytes come in a row, so each step takes more of them.
	for ahead := int64(window); at != layer.Unbroken; ahead = max(window, min(2*ahead, size/mostAhead)) {
		next, wrong, err := c.mend(ctx, &over, at, ahead, size)
		if err != nil || next <= at {
			return false, err
		}
		if wrong != nil {
			wrong.doubted = true
		}
		at = next
	}
	return over.prove(ctx)
}

// mend looks for the source with whose bytes the layer goes on from a break at
// at beyond what is fetched, and uses them. It returns where the layer then
// breaks, as far as it goes up to end, and the source of the first bytes that
// were others; next is 0 if there is no such source.
func (c *check) mend(ctx context.Context, over *overlay, at, ahead, end int64) (next int64, wrong *replica, err error) {
	size := c.blob.Size()
	for _, rep := range c.candidates() {
		for back := int64(lookBack); back < max(2*lookBack, 2*size/mostAhead); back *= 2 {
			r := segment.Range{Start: max(0, at-back), End: min(at+ahead, size)}
			err := rep.fetch(ctx, r)
			if unavailable(err) {
				break
			}
			o := over.with(rep, r)
			if err == nil {
				next, err = findBreak(ctx, o, size, end)
			}
			if err != nil {
				return 0, nil, err
			}
			if next >= r.End {
				*over = o
				wrong, err = o.firstWrong(ctx, r)
				return next, wrong, err
			}
		}
	}
	return 0, nil, nil
}
