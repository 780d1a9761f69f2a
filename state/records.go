package state

import (
	"slices"
	"sort"

	"github.com/segpull/segpull/segment"
)

// have is a run of bytes that is on disk, as one record describes it.
type have struct {
	segment.Range
	sum    uint32 // CRC-32C of the bytes
	source uint16 // index in header.Sources
}

// haves is what is on disk of one blob: ascending, without overlaps.
type haves []have

// overlapping returns the indices [i, j) of those that share bytes with r.
func (l haves) overlapping(r segment.Range) (i, j int) {
	i = sort.Search(len(l), func(k int) bool { return l[k].End > r.Start })
	for j = i; j < len(l) && l[j].Start < r.End; j++ {
	}
	return i, j
}

// at returns the one that holds the byte at off.
func (l haves) at(off int64) (h have, ok bool) {
	i, j := l.overlapping(segment.Range{Start: off, End: off + 1})
	if i == j {
		return have{}, false
	}
	return l[i], true
}

// insert adds one that overlaps no other.
func (l *haves) insert(h have) {
	i, _ := l.overlapping(h.Range)
	*l = slices.Insert(*l, i, h)
}

// cut removes those that share bytes with r, and returns them.
func (l *haves) cut(r segment.Range) []have {
	i, j := l.overlapping(r)
	gone := slices.Clone((*l)[i:j])
	*l = slices.Delete(*l, i, j)
	return gone
}

// replay applies a record of the log: it supersedes those before it.
func (l *haves) replay(r record) {
	l.cut(r.bytes)
	if r.kind == kindHave {
		l.insert(have{r.bytes, r.sum, r.source})
	}
}
