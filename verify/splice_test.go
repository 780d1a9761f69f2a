package verify

import (
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestSplice(t *testing.T) {
	layer := layerOf(2 * mib)
	wrong := func(ranges ...segment.Range) *fakeSource {
		return &fakeSource{damage: map[int]damage{0: func(p []byte, off int64, n int) {
			for _, r := range ranges {
				inverted(r)(p, off, n)
			}
		}}}
	}
	r := func(start, end int64) segment.Range { return segment.Range{Start: start * kib, End: end * kib} }
	for what, tc := range map[string]struct {
		blob    []byte
		sources []*fakeSource
		right   bool
		corrupt []string
		most    int64 // KiB that are fetched again
	}{
		"a range":                      {layer, []*fakeSource{{}, wrong(r(700, 900))}, true, []string{"b"}, 800},
		"the whole of it":              {layer, []*fakeSource{{}, wrong(r(0, 2048))}, true, []string{"b"}, 2500},
		"two ranges":                   {layer, []*fakeSource{{}, wrong(r(300, 400), r(1440, 1600))}, true, []string{"b"}, 1000},
		"of two, each another range":   {layer, []*fakeSource{wrong(r(300, 500)), wrong(r(1200, 1400))}, true, []string{"a", "b"}, 1500},
		"of two of three":              {layer, []*fakeSource{wrong(r(300, 500)), {}, wrong(r(400, 600))}, true, []string{"a", "c"}, 2000},
		"a range that all have wrong":  {layer, []*fakeSource{wrong(r(700, 900)), wrong(r(700, 900))}, false, nil, 1000},
		"a byte, which does not break": {layer, []*fakeSource{{}, wrong(segment.Range{Start: 720*kib + 1, End: 720*kib + 2})}, false, nil, 0},
		"a blob that is no layer":      {random(2 * mib), []*fakeSource{{}, wrong(r(700, 900))}, false, nil, 600},
		"beside a silent source":       {layer, []*fakeSource{{silent: true}, wrong(r(700, 900))}, false, nil, 128},
		"beside one that lacks it":     {layer, []*fakeSource{{lacks: true}, wrong(r(700, 900))}, false, nil, 128},
		"beside one of whole blobs":    {layer, []*fakeSource{{whole: true}, wrong(r(700, 900))}, true, []string{"b"}, 1100},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{tc.blob}, tc.sources...)
			w.serveAlternately(0, 64*kib, upTo(len(tc.sources))...)
			c := w.search.all()[0]
			right, err := c.splice(t.Context())
			if right != tc.right || err != nil {
				t.Fatalf("right: %v, %v", right, err)
			}
			w.wantRight(0, tc.right)
			w.wantCorrupt(tc.corrupt...)
			if n := w.blobs[0].read / mib; n > 60 { // else it is decompressed for each window
				t.Errorf("%d MiB were read of a blob of 2 MiB", n)
			}
			if n := w.askedFor(0) / kib; n > tc.most {
				t.Errorf("%d KiB were fetched again", n)
			}
		})
	}
}

// upTo is 0, 1 … n-1.
func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// TestSpliceLooksBack repairs a layer of which the corrupt source served the
// start, from another layer: that breaks where the right bytes begin.
func TestSpliceLooksBack(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		layer, other := layerOf(8*mib), layerOf(9*mib)
		another := func(p []byte, off int64, _ int) { copy(p, other[off:]) }
		w := newWorld(t, [][]byte{layer}, &fakeSource{}, &fakeSource{damage: map[int]damage{0: another}})
		w.serveAlternately(0, 64*kib, 0)
		w.serve(0, 1, segment.Range{End: 320 * kib})
		before := w.sources[0].Served()
		c := w.search.all()[0]
		if right, err := c.splice(t.Context()); !right || err != nil {
			t.Fatalf("right: %v, %v", right, err)
		}
		w.wantRight(0, true)
		w.wantCorrupt("b")
		if n := w.sources[0].Served() - before; n > 320*kib {
			t.Errorf("%d bytes were fetched again", n)
		}
	})
}

// TestSpliceOfALargeLayer bounds what is fetched again of a layer of 8 MiB, and
// how often it is decompressed.
func TestSpliceOfALargeLayer(t *testing.T) {
	layer := layerOf(8 * mib)
	garbage := inverted(segment.Range{Start: mib, End: 5 * mib})
	turn := func(first int64) damage { // a KiB in each 256
		return func(p []byte, off int64, n int) {
			for at := first; at < 8*mib; at += 256 * kib {
				inverted(segment.Range{Start: at, End: at + kib})(p, off, n)
			}
		}
	}
	for what, tc := range map[string]struct {
		sources []damage
		serve   []int // in turns
		right   bool
		fetched int64 // KiB at most
	}{
		"garbage":                             {[]damage{nil, garbage}, []int{1}, true, 4*1024 + 512 + 192},
		"garbage of the source of most of it": {[]damage{nil, garbage}, []int{0, 1, 1}, true, 3*1024 + 512},
		"two sources that break it in turns":  {[]damage{turn(256 * kib), turn(384 * kib)}, []int{0}, false, 1024},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{layer}, &fakeSource{damage: map[int]damage{0: tc.sources[0]}}, &fakeSource{damage: map[int]damage{0: tc.sources[1]}})
			w.serveAlternately(0, 256*kib, tc.serve...)
			c := w.search.all()[0]
			if right, err := c.splice(t.Context()); right != tc.right || err != nil {
				t.Fatalf("right: %v, %v", right, err)
			}
			if n := w.blobs[0].read / mib; n > 100 {
				t.Errorf("%d MiB were read", n)
			}
			if n := w.askedFor(0) / kib; n > tc.fetched {
				t.Errorf("%d KiB were fetched again", n)
			}
		})
	}
}
