package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/segment"
)

func TestEliminate(t *testing.T) {
	at := func(k int64) damage { return inverted(segment.Range{Start: k*kib + 5, End: k*kib + 6}) }
	early, bit, late := at(70), at(700), at(1620)
	all := inverted(segment.Range{End: 2 * mib})
	source := func(d damage) *fakeSource { return &fakeSource{damage: map[int]damage{0: d}} }
	silent, lacks := &fakeSource{silent: true, damage: map[int]damage{0: bit}}, &fakeSource{lacks: true}
	for what, tc := range map[string]struct {
		sources []*fakeSource
		serve   []int // in turns
		right   bool  // at once
		done    bool
		corrupt []string
		warning string
		most    int64 // KiB that are fetched again
	}{
		"a bit of the other":                      {[]*fakeSource{{}, source(bit)}, []int{0, 1, 0}, true, true, []string{"b"}, "", 350},
		"an early bit of the other":               {[]*fakeSource{{}, source(early)}, []int{0, 1}, true, true, []string{"b"}, "", 150},
		"a bit of the one that served most":       {[]*fakeSource{source(bit), {}}, []int{0, 0, 1}, true, true, []string{"a"}, "", 1040},
		"all bits of the other":                   {[]*fakeSource{{}, source(all)}, []int{0, 1}, true, true, []string{"b"}, "", 512 + 4*2*16},
		"bits of every other answer":              {[]*fakeSource{{}, source(sometimes(all))}, []int{0, 1}, true, true, []string{"b"}, "", 512 + 3*16},
		"such bits of the one that served most":   {[]*fakeSource{{}, source(sometimes(all))}, []int{1, 1, 0}, true, true, []string{"b"}, "", 870},
		"two of three":                            {[]*fakeSource{source(bit), {}, source(bit)}, []int{0, 1, 2}, false, true, []string{"a"}, "", 800},
		"the only source, for the first time":     {[]*fakeSource{source(bit), lacks}, []int{0}, false, true, nil, "once more", 0},
		"a source that is silent is passed over":  {[]*fakeSource{{}, silent}, []int{1, 1, 0}, true, true, []string{"b"}, "", 720},
		"all are silent":                          {[]*fakeSource{silent, silent}, []int{0, 1}, false, false, nil, "", 0},
		"a source of whole blobs, which is not":   {[]*fakeSource{{}, {whole: true, damage: map[int]damage{0: late}}}, []int{0, 1, 0}, true, true, []string{"b"}, "", 800},
		"a source of whole blobs, which is right": {[]*fakeSource{{whole: true}, source(late)}, []int{0, 1, 0}, true, true, []string{"b"}, "", 800},
	} {
		inBubble(t, what, func(t *testing.T) {
			size := mib
			if strings.Contains(what, "whole") {
				size = 2 * mib // the wrong bit is too far in to ask it again
			}
			w := newWorld(t, [][]byte{random(size)}, copies(tc.sources)...)
			w.serveAlternately(0, 64*kib, tc.serve...)
			c := w.search.all()[0]
			done, err := c.eliminate(t.Context())
			if done != tc.done || err != nil {
				t.Fatalf("done: %v, %v", done, err)
			}
			if tc.right {
				w.wantRight(0, true)
			}
			w.wantCorrupt(tc.corrupt...)
			if n := w.askedFor(0) / kib; n > tc.most {
				t.Errorf("%d KiB were fetched again", n)
			}
			if n := w.sources[0].calls; w.sources[0].whole && n > 1 {
				t.Errorf("%d whole blobs were asked for", n)
			}
			if n := w.sources[1].calls; w.sources[1].whole && n > 0 {
				t.Errorf("%d whole blobs were asked for again", n)
			}
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

// TestTheBytesOfAnExcludedSource were served before it was excluded because of another
// blob. With one other source, that is the reference; with two, they send all of them.
func TestTheBytesOfAnExcludedSource(t *testing.T) {
	for what, tc := range map[string]struct {
		sources []*fakeSource
		right   bool
		most    int64 // KiB that are fetched for comparison
	}{
		"beside one other":  {[]*fakeSource{{}, {}}, true, 400},
		"beside two others": {[]*fakeSource{{}, {}, {}}, false, 0},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{random(mib)}, tc.sources...)
			w.sources[1].damage = map[int]damage{0: inverted(segment.Range{Start: 700 * kib, End: 701 * kib})}
			w.serveAlternately(0, 64*kib, 0, 1, 1, 1)
			c := w.search.all()[0]
			c.exclude("b", "it was seen")
			if done, err := c.eliminate(t.Context()); !done || err != nil {
				t.Fatalf("done: %v, %v", done, err)
			}
			w.wantRight(0, tc.right)
			if tc.right != (w.wanted == nil) {
				t.Errorf("%v is wanted again", w.wanted)
			}
			if n := w.askedFor(0) / kib; n > tc.most {
				t.Errorf("%d KiB were fetched again", n)
			}
		})
	}
}

// TestADamagedDiskBlamesNoReference damages bytes on disk while a blob is hashed
// as the honest source has it. The corrupt source then serves them again.
func TestADamagedDiskBlamesNoReference(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		all := inverted(segment.Range{End: mib})
		w := newWorld(t, [][]byte{random(mib)}, &fakeSource{}, &fakeSource{damage: map[int]damage{0: all}})
		w.serveAlternately(0, 64*kib, 0)
		w.blobs[0].onRead = func(int64) bool {
			w.blobs[0].onRead = nil
			w.serve(0, 1, segment.Range{Start: 64 * kib, End: 128 * kib})
			return true
		}
		c := w.search.all()[0]
		if done, err := c.eliminate(t.Context()); !done || err != nil {
			t.Fatalf("done: %v, %v", done, err)
		}
		w.wantCorrupt()
	})
}

// TestADamagedDiskIsNoDifference compares bytes that the disk has damaged.
func TestADamagedDiskIsNoDifference(t *testing.T) {
	w := newWorld(t, [][]byte{random(mib)}, &fakeSource{}, &fakeSource{})
	w.serveAlternately(0, mib, 1)
	c := w.search.all()[0]
	if err := c.replicas[0].fetch(t.Context(), c.whole()); err != nil {
		t.Fatal(err)
	}
	w.blobs[0].onRead = func(int64) bool { return true }
	for d, err := range c.stored().with(c.replicas[0], c.whole()).differences(t.Context(), c.whole()) {
		t.Fatalf("%v differs, %v", d.Range, err)
	}
}

// TestStepsOfAReferenceShareABudget has a reference that takes nearly as long for
// each step as for all of them together.
func TestStepsOfAReferenceShareABudget(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		bit := inverted(segment.Range{Start: 5*mib + 300*kib, End: 5*mib + 300*kib + 1})
		w := newWorld(t, [][]byte{random(16 * mib)}, &fakeSource{delay: quickAnswer - time.Second}, &fakeSource{damage: map[int]damage{0: bit}})
		w.search.opts.Resolver = "a"
		w.serveAlternately(0, mib, 1)
		began := time.Now()
		if done, err := w.search.all()[0].eliminate(t.Context()); !done || err != nil {
			t.Fatalf("done: %v, %v", done, err)
		}
		w.wantCorrupt("b")
		if took := time.Since(began); took > 2*quickAnswer {
			t.Errorf("it took %v", took)
		}
	})
}

// TestEliminateOfALargeBlob bounds what is fetched again of a blob of 16 MiB
// that the corrupt source served, and how often it is hashed.
func TestEliminateOfALargeBlob(t *testing.T) {
	bits := func(start, end, step int64) damage {
		return func(p []byte, off int64, n int) {
			for at := start; at < end; at += step {
				inverted(segment.Range{Start: at, End: at + 1})(p, off, n)
			}
		}
	}
	for what, tc := range map[string]struct {
		damage damage
		most   int64 // KiB that are fetched again
	}{
		"bits in a row":        {bits(12*mib, 12*mib+512*kib, 32*kib), 4 * 1024},
		"bits between samples": {bits(300*kib, 16*mib, mib), 17 * 1024},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{random(16 * mib)}, &fakeSource{}, &fakeSource{damage: map[int]damage{0: tc.damage}})
			w.search.opts.Resolver = "a"
			w.serveAlternately(0, mib, 1)
			c := w.search.all()[0]
			if done, err := c.eliminate(t.Context()); !done || err != nil {
				t.Fatalf("done: %v, %v", done, err)
			}
			w.wantRight(0, true)
			w.wantCorrupt("b")
			if n := w.askedFor(0) / kib; n > tc.most {
				t.Errorf("%d KiB were fetched again", n)
			}
			if n := w.blobs[0].read / mib; n > 400 {
				t.Errorf("%d MiB were read", n)
			}
		})
	}
}
