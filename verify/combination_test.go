package verify

import (
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestCombine(t *testing.T) {
	r := func(start, end int64) damage { return inverted(segment.Range{Start: start * kib, End: end * kib}) }
	source := func(d damage) *fakeSource { return &fakeSource{damage: map[int]damage{0: d}} }
	many := r(0, 0)
	for k := range int64(16) {
		many = both(many, r(k*128, k*128+8))
	}
	for what, tc := range map[string]struct {
		sources []*fakeSource
		right   bool
		corrupt []string
	}{
		"apart":                        {[]*fakeSource{source(r(100, 200)), source(r(500, 600))}, true, []string{"a", "b"}},
		"touching":                     {[]*fakeSource{source(r(0, 1024)), source(r(1024, 2048))}, true, []string{"a", "b"}},
		"two of three agree":           {[]*fakeSource{source(r(100, 200)), source(r(100, 200)), source(r(500, 600))}, true, []string{"a", "b", "c"}},
		"all have the same byte wrong": {[]*fakeSource{source(r(100, 200)), source(r(150, 160))}, false, nil},
		"one that is right":            {[]*fakeSource{source(r(100, 200)), {}}, true, []string{"a"}},
		"of two, one lacks the blob":   {[]*fakeSource{source(r(100, 200)), {lacks: true}}, false, nil},
		"one is right in many places":  {[]*fakeSource{source(many), {}}, true, []string{"a"}},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{random(2 * mib)}, tc.sources...)
			w.serveAlternately(0, 64*kib, 0)
			c := w.search.all()[0]
			right, err := c.combine(t.Context())
			if right != tc.right || err != nil {
				t.Fatalf("right: %v, %v", right, err)
			}
			w.wantRight(0, tc.right)
			w.wantCorrupt(tc.corrupt...)
		})
	}
}

// TestCombineBesideASilentSource tries combinations only when that source has had all
// its time.
func TestCombineBesideASilentSource(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		first, last := inverted(segment.Range{End: kib}), inverted(segment.Range{Start: mib, End: mib + kib})
		w := newWorld(t, [][]byte{random(2 * mib)}, &fakeSource{damage: map[int]damage{0: first}}, &fakeSource{damage: map[int]damage{0: last}}, &fakeSource{silent: true})
		w.serveAlternately(0, 64*kib, 0)
		c := w.search.all()[0]
		for _, c.unhurried = range []bool{false, true} {
			if right, err := c.combine(t.Context()); right != c.unhurried || err != nil {
				t.Errorf("unhurried %v: right %v, %v", c.unhurried, right, err)
			}
		}
	})
}

// TestNoCombinationsWhileASourceMayAnswer has a silent source, which may answer
// when it is given more time.
func TestNoCombinationsWhileASourceMayAnswer(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		var many damage = inverted(segment.Range{End: kib})
		for at := int64(128 * kib); at < 2*mib; at += 128 * kib {
			many = both(many, inverted(segment.Range{Start: at, End: at + kib}))
		}
		w := newWorld(t, [][]byte{random(2 * mib)}, &fakeSource{damage: map[int]damage{0: many}}, &fakeSource{silent: true})
		w.serveAlternately(0, 64*kib, 1, 0)
		if right, err := w.search.all()[0].combine(t.Context()); right || err != nil {
			t.Fatalf("right: %v, %v", right, err)
		}
		if n := w.blobs[0].read / mib; n > 10 {
			t.Errorf("%d MiB of a blob of 2 MiB were read", n)
		}
	})
}

func both(a, b damage) damage {
	return func(p []byte, off int64, n int) {
		a(p, off, n)
		b(p, off, n)
	}
}
