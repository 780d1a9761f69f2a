package segpull

import (
	"bytes"
	"context"
	"slices"

	"github.com/segpull/segpull/segment"
)

const (
	// maxHashed is how many bytes are hashed in the search for a combination, at
	// the most: less than a minute's work.
	maxHashed = 16 << 30
	// maxHashedForSeams is the same for those where lies touch.
	maxHashedForSeams = 4 << 30
)

// combine is called when everybody has lied, or is not to be heard. The blob
// may yet be right with some bytes of one and others of another: everybody is
// heard about all of it, those too that are used no more, and what they differ
// in is tried in all combinations, as far as maxHashed goes.
func (h *hearing) combine(ctx context.Context) (right bool, err error) {
	for _, w := range h.words {
		err := w.hear(ctx, w.unheard(h.whole(), h.blob.Size()))
		if err != nil && !unavailable(err) {
			return false, err
		}
	}
	if right, err := h.mend(ctx, h.words); right || err != nil {
		return right, err
	}
	for _, w := range h.words {
		v := h.onDisk()
		v.take(w, h.whole())
		if right, err := v.prove(ctx); right || err != nil {
			return right, err
		}
	}
	if !h.patient && h.silence() != nil {
		return false, nil // all this hashing is for when everybody was heard
	}
	return h.tryAll(ctx)
}

// tryAll tries all combinations: first of whole disputes, then such that in one
// of them the truth passes from one side to another, as where lies touch.
func (h *hearing) tryAll(ctx context.Context) (right bool, err error) {
	disputes, err := h.disputes(ctx)
	if err != nil {
		return false, err
	}
	s := &search{h, maxHashed}
	if right, err := s.try(ctx, disputes, h.onDisk()); right || err != nil {
		return right, err
	}
	s.left = maxHashedForSeams
	for _, grid := range []int64{1 << 20, window, 4 << 10} {
		for k := range disputes {
			if right, err := s.trySeams(ctx, disputes, k, grid); right || err != nil {
				return right, err
			}
		}
	}
	return false, nil
}

// search is what may still be hashed for a combination.
type search struct {
	*hearing
	left int64
}

// try tries all combinations of disputes in v.
func (s *search) try(ctx context.Context, disputes []dispute, v version) (right bool, err error) {
	choice := make([]int, len(disputes)) // of each dispute: one of its sides
	for ; s.left > 0; s.left -= s.blob.Size() {
		v := v.clone()
		for i, d := range disputes {
			v.take(d.sides[choice[i]], d.Range)
		}
		if right, err := v.prove(ctx); right || err != nil {
			return right, err
		}
		if !next(choice, disputes) {
			break
		}
	}
	return false, nil
}

// trySeams has the truth about the k-th dispute pass from one side to another
// at each multiple of grid. Servers and disks lie by blocks.
func (s *search) trySeams(ctx context.Context, disputes []dispute, k int, grid int64) (right bool, err error) {
	d := disputes[k]
	others := slices.Delete(slices.Clone(disputes), k, k+1)
	for seam := (d.Start/grid + 1) * grid; seam < d.End && s.left > 0; seam += grid {
		for _, before := range d.sides {
			for _, after := range d.sides {
				if before == after {
					continue
				}
				v := s.onDisk()
				v.take(before, segment.Range{Start: d.Start, End: seam})
				v.take(after, segment.Range{Start: seam, End: d.End})
				if right, err := s.try(ctx, others, v); right || err != nil {
					return right, err
				}
			}
		}
	}
	return false, nil
}

// next counts up choice, of which each digit has its own base. It returns
// false after the last.
func next(choice []int, disputes []dispute) bool {
	for i := range choice {
		if choice[i]++; choice[i] < len(disputes[i].sides) {
			return true
		}
		choice[i] = 0
	}
	return false
}

// dispute is bytes of which not everybody says the same.
type dispute struct {
	segment.Range
	sides []*word // one of those that agree, for each thing that is said
	parts []int   // which side each word is on
}

// disputes finds the bytes of which not everybody says the same. Where they
// touch and everybody agrees with the same others, they are one. What lies
// within a window is not told apart.
func (h *hearing) disputes(ctx context.Context) (found []dispute, err error) {
	err = eachWindow(ctx, h.whole(), func(r segment.Range) error {
		d, err := h.sides(r)
		if err != nil || len(d.sides) < 2 {
			return err
		}
		if n := len(found); n > 0 && found[n-1].End == r.Start && slices.Equal(found[n-1].parts, d.parts) {
			found[n-1].End = r.End
			return nil
		}
		found = append(found, d)
		return nil
	})
	return found, err
}

// sides parts the words by what they say of r.
func (h *hearing) sides(r segment.Range) (dispute, error) {
	d := dispute{Range: r}
	var said [][]byte
	for _, w := range h.words {
		v := h.onDisk()
		v.take(w, r)
		p, err := v.bytes(r)
		if err != nil {
			return d, err
		}
		side := slices.IndexFunc(said, func(other []byte) bool { return bytes.Equal(p, other) })
		if side < 0 {
			side = len(said)
			said = append(said, p)
			d.sides = append(d.sides, w)
		}
		d.parts = append(d.parts, side)
	}
	return d, nil
}
