package verify

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/segment"
)

// TestCandidates serves a blob of 1 MiB from three sources, and looks at the
// order in which they are tried as a reference.
func TestCandidates(t *testing.T) {
	for what, tc := range map[string]struct {
		edit func(w *world, c *check)
		want string
	}{
		"most bytes first":                          {func(*world, *check) {}, "c b a"},
		"the resolver is trusted":                   {func(w *world, _ *check) { w.search.opts.Resolver = "a" }, "a c b"},
		"one that was proved right":                 {func(w *world, _ *check) { w.proveRight("b") }, "b c a"},
		"one that was corrupt in an earlier pull":   {func(w *world, _ *check) { w.search.opts.Doubted["c"] = true }, "b a c"},
		"one whose bytes seem to be wrong":          {func(w *world, c *check) { w.search.opts.Doubted["b"] = true; c.replicas[2].doubted = true }, "a b c"},
		"one that is corrupt is not tried any more": {func(w *world, c *check) { w.corrupt.add("c", time.Now()) }, "b a"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, [][]byte{random(mib), random(kib)}, &fakeSource{}, &fakeSource{}, &fakeSource{})
			w.serveAlternately(0, 64*kib, 0, 1, 1, 2, 2, 2)
			c := w.search.all()[0]
			tc.edit(w, c)
			var got []string
			for _, r := range c.candidates() {
				got = append(got, r.name())
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}

// proveRight says that a source has served a blob that is right.
func (w *world) proveRight(name string) {
	w.serve(1, int(name[0]-'a'), segment.Range{End: kib})
	w.search.all()[1].right.Store(true)
}

// TestATimeoutIsRemembered asks a silent source for two blobs.
func TestATimeoutIsRemembered(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		w := newWorld(t, [][]byte{random(mib), random(mib)}, &fakeSource{}, &fakeSource{silent: true})
		w.serveAlternately(0, 64*kib, 0)
		w.serveAlternately(1, 64*kib, 0)
		for blob, calls := range []int{1, 1, 2} {
			c := w.search.all()[min(blob, 1)]
			c.replicas[1].failure = nil
			began := time.Now()
			err := c.replicas[1].fetch(t.Context(), segment.Range{End: kib})
			if !unavailable(err) || w.sources[1].calls != calls || time.Since(began) > quickAnswer {
				t.Errorf("step %d: %d calls, %v", blob, w.sources[1].calls, err)
			}
			if blob == 1 {
				time.Sleep(timeoutMemory)
			}
		}
	})
}

// TestASilentSourceIsNotAskedAgain a second time for bytes that it has sent.
func TestASilentSourceIsNotAskedAgain(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		w := newWorld(t, [][]byte{random(mib)}, &fakeSource{}, &fakeSource{silent: true})
		c := w.search.all()[0]
		at := segment.Range{End: kib}
		for range 2 {
			if c.askAgain(t.Context(), difference{part{at, c.replicas[1]}, make([]byte, kib), "of an earlier run", w.right[0][:kib]}) {
				t.Error("silence is taken for other bytes")
			}
		}
		if n := w.sources[1].calls; n != 1 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

func TestTheWatchDoesNotLag(t *testing.T) {
	w := newWorld(t, [][]byte{make([]byte, mostBehind+mib)}, &fakeSource{})
	w.serveAlternately(0, mib, 0)
	b := w.blobs[0]
	if _, err := findBreak(t.Context(), timely{b}, b.size, b.size); !errors.Is(err, errBehind) {
		t.Error(err)
	}
}
