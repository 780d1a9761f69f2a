package segment

import (
	"math/rand/v2"
	"testing"
)

// TestSetAgainstBitmap compares the set with the simplest thing that could
// be right, over many random changes.
func TestSetAgainstBitmap(t *testing.T) {
	const size = 64
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var s Set
		var bits [size]bool
		for range 40 {
			a, b := rng.Int64N(size+1), rng.Int64N(size+1)
			r := Range{min(a, b), max(a, b)}
			add := rng.IntN(2) == 0
			if add {
				s.Add(r)
			} else {
				s.Remove(r)
			}
			for i := r.Start; i < r.End; i++ {
				bits[i] = add
			}
			checkSet(t, &s, bits[:])
		}
		whole := Range{0, size}
		covered := int64(0)
		for _, r := range s.Within(whole) {
			covered += r.Len()
		}
		for _, r := range s.Without(whole) {
			covered += r.Len()
		}
		if covered != size {
			t.Fatalf("within and without cover %d of %d bytes", covered, size)
		}
	}
}

func checkSet(t *testing.T, s *Set, bits []bool) {
	t.Helper()
	got := make([]bool, len(bits))
	last := int64(-1)
	var n int64
	for _, r := range s.Ranges() {
		if r.Empty() || r.Start <= last {
			t.Fatalf("ranges out of order, empty or touching: %v", s.Ranges())
		}
		last = r.End
		n += r.Len()
		for i := r.Start; i < r.End; i++ {
			got[i] = true
		}
	}
	if n != s.Len() {
		t.Fatalf("Len is %d, ranges hold %d", s.Len(), n)
	}
	for i := range bits {
		if got[i] != bits[i] {
			t.Fatalf("byte %d: in set %v, want %v", i, got[i], bits[i])
		}
	}
}

func TestSetWithout(t *testing.T) {
	var s Set
	s.Add(Range{10, 20})
	s.Add(Range{30, 40})
	got := s.Without(Range{5, 35})
	want := []Range{{5, 10}, {20, 30}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Fatalf("got %v, want %v", got, want)
	}
}
