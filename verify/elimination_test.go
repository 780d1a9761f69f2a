package verify

import (
	"strings"
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestEliminate(t *testing.T) {
	bit := inverted(segment.Range{Start: 700*kib + 5, End: 700*kib + 6})
	all := inverted(segment.Range{End: mib})
	source := func(d damage) *fakeSource { return &fakeSource{damage: map[int]damage{0: d}} }
	silent, lacks := &fakeSource{silent: true, damage: map[int]damage{0: bit}}, &fakeSource{lacks: true}
	for what, tc := range map[string]struct {
		sources []*fakeSource
		serve   []int // in turns
		right   bool  // at once
		done    bool
		corrupt []string
		warning string
	}{
		"a bit of the other":                        {[]*fakeSource{{}, source(bit)}, []int{0, 1, 0}, true, true, []string{"b"}, ""},
		"a bit of the one that served most":         {[]*fakeSource{source(bit), {}}, []int{0, 0, 1}, false, true, []string{"a"}, ""},
		"bits of every other answer":                {[]*fakeSource{{}, source(sometimes(all))}, []int{0, 1}, false, true, []string{"b"}, ""},
		"two of three":                              {[]*fakeSource{source(bit), {}, source(bit)}, []int{0, 1, 2}, false, true, []string{"a"}, ""},
		"the only source, for the first time":       {[]*fakeSource{source(bit), lacks}, []int{0}, false, true, nil, "once more"},
		"a source that can't be heard is passed by": {[]*fakeSource{{}, silent}, []int{1, 1, 0}, true, true, []string{"b"}, ""},
		"all are silent":                            {[]*fakeSource{silent, silent}, []int{0, 1}, false, false, nil, ""},
		"whole blobs only":                          {[]*fakeSource{{whole: true}, source(bit)}, []int{0, 1, 0}, true, true, []string{"b"}, ""},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{random(mib)}, copies(tc.sources)...)
			w.serveAlternately(0, 64*kib, tc.serve...)
			c := w.search.newCheck(0)
			c.begin()
			done, err := c.eliminate(t.Context())
			if done != tc.done || err != nil {
				t.Fatalf("done: %v, %v", done, err)
			}
			if tc.right {
				w.wantRight(0, true)
			}
			w.wantCorrupt(tc.corrupt...)
			if got := strings.Join(w.warnings, "\n"); !strings.Contains(got, tc.warning) || tc.warning == "" && got != "" {
				t.Errorf("warnings %q", got)
			}
		})
	}
}

// copies are sources of their own, for each test one.
func copies(sources []*fakeSource) (all []*fakeSource) {
	for _, s := range sources {
		all = append(all, &fakeSource{damage: s.damage, silent: s.silent, lacks: s.lacks, whole: s.whole})
	}
	return all
}
