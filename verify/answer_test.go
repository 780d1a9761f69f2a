package verify

import (
	"context"
	"testing"
	"time"

	"github.com/segpull/segpull/segment"
)

func TestCheckSources(t *testing.T) {
	everything := segment.Range{End: mib}
	for what, tc := range map[string]struct {
		size   int64
		source *fakeSource
		serves bool // the source has served a part of the blob
		left   bool // the blob is left to the other source
		found  bool
	}{
		"an honest source":            {size: kib, source: &fakeSource{}},
		"one that is always corrupt":  {size: kib, source: &fakeSource{damage: map[int]damage{0: inverted(everything)}}, found: true},
		"a blob that is left to one":  {size: kib, source: &fakeSource{damage: map[int]damage{0: inverted(everything)}}, left: true},
		"a single bit":                {size: kib, source: &fakeSource{damage: map[int]damage{0: inverted(segment.Range{Start: 7, End: 8})}}, found: true},
		"corrupt about another blob":  {size: kib, source: &fakeSource{damage: map[int]damage{1: inverted(everything)}}},
		"one that counts requests":    {size: kib, source: &fakeSource{rationed: true, damage: map[int]damage{0: inverted(everything)}}},
		"one that is silent":          {size: kib, source: &fakeSource{silent: true}},
		"one that lacks the blob":     {size: kib, source: &fakeSource{lacks: true}},
		"one that has served it":      {size: 2 * kib, source: &fakeSource{damage: map[int]damage{0: sometimes(inverted(segment.Range{}))}}, serves: true},
		"a blob that is too large":    {size: maxAnswer + 1, source: &fakeSource{damage: map[int]damage{0: inverted(everything)}}},
		"the largest that is asked":   {size: maxAnswer, source: &fakeSource{damage: map[int]damage{0: inverted(everything)}}, found: true},
		"an empty blob tells nothing": {size: 0, source: &fakeSource{damage: map[int]damage{0: inverted(everything)}}},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{random(int(tc.size)), random(kib)}, &fakeSource{}, tc.source)
			w.assigned = tc.left
			w.serveAlternately(0, kib, 0)
			if tc.serves {
				w.serve(0, 1, segment.Range{Start: kib, End: 2 * kib})
			}
			before := tc.source.Served()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := w.search.Blob(ctx, 0); err != nil {
				t.Fatal(err)
			}
			w.search.CheckSources(ctx)
			if tc.found {
				w.wantCorrupt("b")
			} else {
				w.wantCorrupt()
			}
			if (w.trust[1] == segment.Excluded) != tc.found {
				t.Errorf("trust %v", w.trust[1])
			}
			if tc.serves && tc.source.Served() > before {
				t.Error("it was asked for what it has served")
			}
		})
	}
}

// TestCheckSourcesAgainstADisk that damages the answer after it was hashed.
func TestCheckSourcesAgainstADisk(t *testing.T) {
	w := newWorld(t, [][]byte{random(kib)}, &fakeSource{}, &fakeSource{})
	w.serveAlternately(0, kib, 0)
	if err := w.search.Blob(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w.blobs[0].data[5] ^= 1
	w.search.CheckSources(t.Context())
	w.wantCorrupt()
}

// TestCheckSourcesOfOne asks the only source for nothing: its answer would change
// nothing, also where an earlier pull fetched the blob.
func TestCheckSourcesOfOne(t *testing.T) {
	only := &fakeSource{}
	w := newWorld(t, [][]byte{random(kib)}, only)
	w.serve(0, 0, segment.Range{End: kib})
	w.blobs[0].names = []string{"of an earlier pull"}
	if err := w.search.Blob(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	before := only.Served()
	w.search.CheckSources(t.Context())
	if got := only.Served(); got != before {
		t.Errorf("the only source was asked for %d bytes", got-before)
	}
}
