package verify

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull/segment"
)

// A corrupt source is excluded for a time that doubles. Then it is a suspect until it has
// sent a known answer.
func TestACorruptSourceComesBack(t *testing.T) {
	const trusted, suspect, excluded = segment.Trusted, segment.Suspect, segment.Excluded
	synctest.Test(t, func(t *testing.T) {
		corrupt := &Corrupt{ExcludeFor: time.Hour}
		for i, step := range []struct {
			wait          time.Duration // before the search
			right         bool          // what the source sends
			served        bool          // it has served the known answer
			before, after segment.Trust
		}{
			{0, true, false, trusted, trusted},
			{0, false, false, trusted, excluded},
			{time.Hour - 1, true, false, excluded, excluded},
			{1, false, false, suspect, excluded},
			{2*time.Hour - 1, true, false, excluded, excluded},
			{1, true, false, suspect, trusted},
			{0, true, false, trusted, trusted},
			{0, false, false, trusted, excluded},
			{4*time.Hour - 1, true, false, excluded, excluded},
			{1, true, true, suspect, trusted},
		} {
			time.Sleep(step.wait)
			b := &fakeSource{}
			if !step.right {
				b.damage = map[int]damage{0: inverted(segment.Range{End: kib})}
			}
			w := newWorldAfter(t, corrupt, [][]byte{random(kib)}, &fakeSource{}, b)
			before := w.trust[1]
			w.serve(0, 0, segment.Range{End: kib})
			if step.served {
				w.serve(0, 1, segment.Range{End: kib})
			}
			if err := w.search.Blob(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			w.search.CheckSources(t.Context())
			if before != step.before || w.trust[1] != step.after {
				t.Errorf("search %d: trust %v and then %v, want %v and %v", i, before, w.trust[1], step.before, step.after)
			}
			if names := corrupt.Names(); slices.Equal(names, []string{"b"}) != (step.after == excluded) {
				t.Errorf("search %d: %q are listed as corrupt", i, names)
			}
		}
	})
}

// What one search finds, another one that runs knows too. It does not take the source back.
func TestSearchesShareWhatTheyFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		corrupt := &Corrupt{ExcludeFor: time.Hour}
		one := newWorldAfter(t, corrupt, [][]byte{random(kib)}, &fakeSource{}, &fakeSource{})
		two := newWorldAfter(t, corrupt, [][]byte{random(kib)}, &fakeSource{}, &fakeSource{})
		one.search.all()[0].exclude("b", "it was seen")
		time.Sleep(2 * time.Hour)
		if two.search.Accepts("b", 0) || two.trust[1] != segment.Excluded {
			t.Errorf("trust %v in the other search", two.trust[1])
		}
		two.search.all()[0].exclude("b", "it was seen again")
		if three := newWorldAfter(t, corrupt, [][]byte{random(kib)}, &fakeSource{}, &fakeSource{}); three.trust[1] != segment.Suspect {
			t.Errorf("trust %v in the next search", three.trust[1])
		}
	})
}

// Where all sources have sent wrong bytes, they are used.
func TestNoSourceIsASuspectAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		corrupt := &Corrupt{ExcludeFor: time.Hour}
		one := newWorldAfter(t, corrupt, [][]byte{random(kib)}, &fakeSource{}, &fakeSource{})
		one.search.all()[0].exclude("a", "it was seen")
		one.search.all()[0].exclude("b", "it was seen")
		time.Sleep(time.Hour)
		if two := newWorldAfter(t, corrupt, [][]byte{random(kib)}, &fakeSource{}, &fakeSource{}); two.trust[0] != segment.Trusted || two.trust[1] != segment.Trusted {
			t.Errorf("trust %v", two.trust)
		}
	})
}
