package segment

import (
	"fmt"
	"slices"
	"sort"
)

// Range is the bytes [Start, End) of a blob.
type Range struct{ Start, End int64 }

// Len is the number of bytes in r.
func (r Range) Len() int64 { return r.End - r.Start }

// Empty reports whether r holds no byte.
func (r Range) Empty() bool { return r.End <= r.Start }

// Contains reports whether all of o lies in r.
func (r Range) Contains(o Range) bool { return r.Start <= o.Start && o.End <= r.End }

// Intersect returns the bytes that r and o share; it may be empty.
func (r Range) Intersect(o Range) Range {
	return Range{max(r.Start, o.Start), min(r.End, o.End)}
}

// String returns r as a half-open interval.
func (r Range) String() string { return fmt.Sprintf("[%d,%d)", r.Start, r.End) }

// Set is a set of bytes of a blob: ranges in ascending order that neither
// overlap nor touch. The zero Set is empty. A Set is not safe for concurrent
// use.
type Set struct {
	ranges []Range
	size   int64
}

// Len is the number of bytes in the set.
func (s *Set) Len() int64 { return s.size }

// Ranges returns the set's ranges in ascending order. The caller may not
// change them.
func (s *Set) Ranges() []Range { return s.ranges }

// First returns the lowest range; the set may not be empty.
func (s *Set) First() Range { return s.ranges[0] }

// last returns the highest range; the set may not be empty.
func (s *Set) last() Range { return s.ranges[len(s.ranges)-1] }

// Add puts the bytes of r into the set.
func (s *Set) Add(r Range) {
	if r.Empty() {
		return
	}
	i, j := s.touching(r)
	for _, old := range s.ranges[i:j] {
		r = Range{min(r.Start, old.Start), max(r.End, old.End)}
		s.size -= old.Len()
	}
	s.size += r.Len()
	s.ranges = slices.Replace(s.ranges, i, j, r)
}

// Remove takes the bytes of r out of the set.
func (s *Set) Remove(r Range) {
	if r.Empty() {
		return
	}
	i, j := s.overlapping(r)
	if i == j {
		return
	}
	left := Range{s.ranges[i].Start, r.Start}
	right := Range{r.End, s.ranges[j-1].End}
	for _, old := range s.ranges[i:j] {
		s.size -= old.Len()
	}
	var rest []Range
	for _, part := range []Range{left, right} {
		if !part.Empty() {
			rest = append(rest, part)
			s.size += part.Len()
		}
	}
	s.ranges = slices.Replace(s.ranges, i, j, rest...)
}

// Within returns the parts of r that are in the set.
func (s *Set) Within(r Range) []Range {
	i, j := s.overlapping(r)
	var parts []Range
	for _, old := range s.ranges[i:j] {
		parts = append(parts, old.Intersect(r))
	}
	return parts
}

// Without returns the parts of r that are not in the set.
func (s *Set) Without(r Range) []Range {
	var parts []Range
	at := r.Start
	for _, in := range s.Within(r) {
		if at < in.Start {
			parts = append(parts, Range{at, in.Start})
		}
		at = in.End
	}
	if at < r.End {
		parts = append(parts, Range{at, r.End})
	}
	return parts
}

// touching returns the indices [i, j) of the ranges that overlap or adjoin r.
func (s *Set) touching(r Range) (i, j int) {
	i = sort.Search(len(s.ranges), func(k int) bool { return s.ranges[k].End >= r.Start })
	j = i + sort.Search(len(s.ranges)-i, func(k int) bool { return s.ranges[i+k].Start > r.End })
	return i, j
}

// overlapping returns the indices [i, j) of the ranges that share a byte with r.
func (s *Set) overlapping(r Range) (i, j int) {
	i = sort.Search(len(s.ranges), func(k int) bool { return s.ranges[k].End > r.Start })
	j = i + sort.Search(len(s.ranges)-i, func(k int) bool { return s.ranges[i+k].Start >= r.End })
	return i, max(i, j)
}
