package verify

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/segpull/segpull/segment"
)

// TestWatch hashes a layer while its parts of 64 KiB arrive, every 10 ms one,
// and looks at the suspect when most of it is there.
func TestWatch(t *testing.T) {
	layer, other := layerOf(6*mib), layerOf(6*mib + 7)[:6*mib]
	layer = layer[:6*mib]
	middle := inverted(segment.Range{Start: mib, End: 2 * mib})
	all := inverted(segment.Range{End: 6 * mib})
	another := func(p []byte, off int64, _ int) { copy(p, other[off:]) }
	farIn := slices.Concat(make([]int, 32), slices.Repeat([]int{1}, 16))  // 2 MiB of a, then b
	lateOn := slices.Concat(slices.Repeat([]int{1}, 16), make([]int, 80)) // 1 MiB of b, then a
	source := func(d damage) *fakeSource { return &fakeSource{damage: map[int]damage{0: d}} }
	for what, tc := range map[string]struct {
		blob     []byte
		sources  []*fakeSource
		serve    []int // in turns
		resolver string
		suspects []string // in the order in which they were reported
		held     bool
		left     bool // the blob is left to one source
	}{
		"a break of the resolver, far in": {layer, []*fakeSource{source(middle), {}}, farIn, "a", []string{"a"}, true, false},
		"honest sources":                  {layer, []*fakeSource{{}, {}}, []int{0, 1}, "a", nil, false, false},
		"a break":                         {layer, []*fakeSource{{}, source(middle)}, []int{0, 1}, "a", []string{"b"}, true, false},
		"a break among three":             {layer, []*fakeSource{{}, {}, source(middle)}, []int{0, 1, 2}, "a", []string{"c"}, false, false},
		"wrong from the start on":         {layer, []*fakeSource{{}, source(all)}, []int{1}, "a", []string{"b"}, true, false},
		"the other is wrong at the start": {layer, []*fakeSource{{}, source(all)}, []int{0}, "a", []string{"b"}, true, false},
		"the resolver is wrong":           {layer, []*fakeSource{source(all), {}}, []int{0}, "a", []string{"a"}, true, false},
		"the same without a resolver":     {layer, []*fakeSource{{}, source(all)}, []int{0}, "", []string{"b"}, true, false},
		"two sound layers":                {layer, []*fakeSource{{}, source(another)}, []int{1}, "a", []string{"b"}, true, false},
		"two sound layers, shown late":    {layer, []*fakeSource{{delay: 300 * time.Millisecond}, source(another)}, lateOn, "a", []string{"b"}, true, false},
		"both others differ at the start": {layer, []*fakeSource{source(all), {}, {}}, []int{0}, "b", []string{"a"}, false, false},
		"a blob that is no layer":         {random(6 * mib), []*fakeSource{{}, source(middle)}, []int{0, 1}, "a", nil, false, false},
		"a small blob":                    {layerOf(mib / 2), []*fakeSource{{}, source(all)}, []int{0, 1}, "a", nil, false, false},
		"a single source":                 {layer, []*fakeSource{source(all)}, []int{0}, "a", nil, false, false},
		"a blob that is left to one":      {layer, []*fakeSource{{}, source(all)}, []int{1}, "a", nil, false, true},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{tc.blob}, tc.sources...)
			w.search.opts.Resolver, w.assigned = tc.resolver, tc.left
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			c := w.search.all()[0]
			go func() { ended <- c.hash(ctx) }()
			size := w.blobs[0].size
			for k := int64(0); (k+1)*64*kib < size; k++ {
				w.serve(0, tc.serve[k%int64(len(tc.serve))], segment.Range{Start: k * 64 * kib, End: (k + 1) * 64 * kib})
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
			<-ended
			if !slices.Equal(w.suspects, tc.suspects) {
				t.Errorf("suspects %q, not %q", w.suspects, tc.suspects)
			}
			for k, s := range w.sources {
				suspect := len(tc.suspects) > 0 && s.name == tc.suspects[len(tc.suspects)-1]
				if (w.trust[k] == segment.Suspect) != suspect || c.replicas[k].doubted != suspect {
					t.Errorf("%s has trust %v", s.name, w.trust[k])
				}
			}
			if (w.holds > 0) != tc.held {
				t.Errorf("later blobs are held %d times", w.holds)
			}
			if n := w.askedFor(0) + 64*kib; tc.suspects == nil && n > startSize*int64(len(tc.sources)-1) { // the last 64 KiB never arrived
				t.Errorf("%d bytes were fetched again", n)
			} else if tc.left && n > 64*kib {
				t.Errorf("%d bytes were fetched again of a blob that is left to one source", n)
			}
			if n := w.blobs[0].read; len(tc.sources) == 1 && n > size {
				t.Errorf("%d bytes were read of the only source", n)
			}
			if tc.held {
				c.hold() // as when the digest is wrong
			}
			c.end()
			if slices.Contains(w.trust, segment.Suspect) || w.holds != 0 {
				t.Errorf("in the end: trust %v, held %d times", w.trust, w.holds)
			}
			w.wantCorrupt()
		})
	}
}

// TestAResumedBlobIsNotWatched has a blob that is complete.
func TestAResumedBlobIsNotWatched(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		w := newWorld(t, [][]byte{layerOf(6 * mib)}, &fakeSource{}, &fakeSource{})
		w.serveAlternately(0, mib, 0)
		if err := w.search.Blob(t.Context(), 0); err != nil || w.sources[1].calls > 0 {
			t.Errorf("it was asked for %d times, %v", w.sources[1].calls, err)
		}
	})
}

// TestWatchesAreFew has more layers that arrive than may be decompressed at a time.
func TestWatchesAreFew(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		layer := layerOf(6 * mib)
		w := newWorld(t, [][]byte{layer, layer}, &fakeSource{}, &fakeSource{})
		w.search.watchers = semaphore.NewWeighted(1)
		ctx, cancel := context.WithCancel(t.Context())
		var watches sync.WaitGroup
		for blob := range 2 {
			w.serve(blob, 0, segment.Range{End: mib})
			watches.Go(func() { w.search.all()[blob].watchStream(ctx) })
			synctest.Wait()
		}
		if w.blobs[0].read == 0 || w.blobs[1].read > 0 {
			t.Errorf("%d and %d bytes were decompressed", w.blobs[0].read, w.blobs[1].read)
		}
		cancel()
		watches.Wait()
	})
}

// TestAStartOfAnEarlierRun has a start that a source served which is not used any more.
func TestAStartOfAnEarlierRun(t *testing.T) {
	for what, tc := range map[string]struct {
		damaged  int // the source with wrong bytes; 2 is that of the earlier run
		suspects []string
	}{
		"is right": {1, []string{"b"}},
		"is wrong": {2, nil},
	} {
		inBubble(t, what, func(t *testing.T) {
			layer := layerOf(6 * mib)
			sources := []*fakeSource{{}, {}, {}}
			sources[tc.damaged].damage = map[int]damage{0: inverted(segment.Range{End: 6 * mib})}
			w := newWorld(t, [][]byte{layer}, sources...)
			w.serve(0, 2, segment.Range{End: mib})
			w.blobs[0].names = []string{"a", "b", "of an earlier run"}
			w.sources[2].rationed = true
			w.search.all()[0].watchStarts(t.Context())
			if !slices.Equal(w.suspects, tc.suspects) {
				t.Errorf("suspects %q, not %q", w.suspects, tc.suspects)
			}
		})
	}
}

// TestASuspectOfTwoBlobs is one until both are verified.
func TestASuspectOfTwoBlobs(t *testing.T) {
	w := newWorld(t, nil, &fakeSource{})
	for _, tc := range []struct {
		n    int
		want segment.Trust
	}{{1, segment.Suspect}, {1, segment.Suspect}, {-1, segment.Suspect}, {-1, segment.Trusted}} {
		w.search.suspect(w.search.sources[0], tc.n)
		if w.trust[0] != tc.want {
			t.Errorf("trust %v, not %v", w.trust[0], tc.want)
		}
	}
}

// TestBlob repairs blobs through all steps, with what is wanted again from the
// first source that is trusted.
func TestBlob(t *testing.T) {
	layer := layerOf(2 * mib)
	bit := inverted(segment.Range{Start: 720*kib + 5, End: 720*kib + 6})
	early := inverted(segment.Range{Start: 5 * kib, End: 5*kib + 1})
	middle := inverted(segment.Range{Start: 700 * kib, End: 900 * kib})
	source := func(d damage) *fakeSource { return &fakeSource{damage: map[int]damage{0: d}} }
	for what, tc := range map[string]struct {
		sources []*fakeSource
		right   bool
		corrupt []string
	}{
		"honest sources":            {[]*fakeSource{{}, {}}, true, nil},
		"a break":                   {[]*fakeSource{{}, source(middle)}, true, []string{"b"}},
		"a bit":                     {[]*fakeSource{{}, source(bit)}, true, []string{"b"}},
		"a bit, sometimes":          {[]*fakeSource{{}, source(sometimes(bit))}, true, []string{"b"}},
		"two of three":              {[]*fakeSource{source(bit), {}, source(middle)}, true, []string{"a", "c"}},
		"all of two":                {[]*fakeSource{source(early), source(middle)}, true, []string{"a", "b"}},
		"a byte that all get wrong": {[]*fakeSource{source(middle), source(middle)}, false, []string{"a", "b"}},
		"the other falls silent":    {[]*fakeSource{source(middle), {silent: true}}, true, []string{"a"}},
		"the other is slow":         {[]*fakeSource{source(early), {delay: 20 * time.Second}}, true, []string{"a"}},
		"both are slow":             {[]*fakeSource{{delay: 20 * time.Second}, {delay: 20 * time.Second, damage: map[int]damage{0: bit}}}, true, []string{"b"}},
		"all fall silent":           {[]*fakeSource{{silent: true}, {silent: true, damage: map[int]damage{0: bit}}}, false, nil},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, [][]byte{layer}, tc.sources...)
			w.fetch = true
			w.serveAlternately(0, 64*kib, upTo(len(tc.sources))...)
			err := w.search.Blob(t.Context(), 0)
			if (err == nil) != tc.right {
				t.Fatalf("right: %v, want %v", err, tc.right)
			}
			w.wantRight(0, tc.right)
			for _, name := range w.corrupt.Names() {
				if !slices.Contains(tc.corrupt, name) {
					t.Errorf("%s is excluded, which is honest", name)
				}
			}
			if len(tc.corrupt) > 0 && len(w.corrupt.Names()) == 0 {
				t.Error("no source is excluded")
			}
			if pair := len(tc.sources) == 2 && tc.corrupt != nil; pair && !w.held || w.holds != 0 {
				t.Errorf("later blobs were held: %v, and are held %d times", w.held, w.holds)
			}
		})
	}
}
