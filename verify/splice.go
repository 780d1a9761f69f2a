package verify

import (
	"context"

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

// splice follows the breaks of a layer: the bytes around one are fetched from
// other sources too, and used where the layer goes on beyond them. So only about
// as much is fetched again as was wrong, and each of several corrupt sources may
// have sent other bytes right. It returns true if it has repaired the blob. Else
// no source is excluded, and what was fetched helps later steps.
func (c *check) splice(ctx context.Context) (right bool, err error) {
	size := c.blob.Size()
	over := c.stored()
	at, err := over.findBreak(ctx, size)
	if err != nil || at >= size-checksum {
		return false, err
	}
	// Wrong bytes come in a row, so each step takes more of them.
	for ahead := int64(window); at < size-checksum; ahead = max(window, min(2*ahead, size/mostAhead)) {
		next, err := c.mend(ctx, &over, at, ahead)
		if err != nil || next <= at {
			return false, err
		}
		at = next
	}
	return over.prove(ctx)
}

// mend looks for the source with whose bytes the layer goes on from a break at
// at beyond what is fetched, and uses them. It returns where the layer then
// breaks; 0 if there is no such source.
func (c *check) mend(ctx context.Context, over *overlay, at, ahead int64) (next int64, err error) {
	size := c.blob.Size()
	server := over.server(max(0, at-1))
	for _, rep := range c.candidates() {
		for back := int64(lookBack); ; back *= 2 {
			r := segment.Range{Start: max(0, at-back), End: min(at+ahead, size)}
			o, next, err := c.goesOn(ctx, *over, rep, r, size)
			if err != nil {
				return 0, err
			}
			if next >= min(r.End, size-checksum) {
				c.doubted[server] = server != rep.name()
				*over = o
				return next, nil
			}
			if r.Start == 0 || back >= size/mostAhead {
				break
			}
		}
	}
	return 0, nil
}

// goesOn returns where the layer breaks with a source's bytes of r, as far as it
// goes up to end; 0 if the source is not available.
func (c *check) goesOn(ctx context.Context, over overlay, rep *replica, r segment.Range, end int64) (o overlay, at int64, err error) {
	o, err = over.with(ctx, rep, r)
	if unavailable(err) {
		return o, 0, nil
	}
	if err != nil {
		return o, 0, err
	}
	at, err = o.findBreak(ctx, end)
	return o, at, err
}
