package crashtest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/pulltest"
)

// Pulls through a cache, each for an output of its own, are killed before random system
// calls. Each continues from what the others left, and whatever they leave is right.
func TestKilledWhileFillingTheCache(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib, 2*mib)
	dir, m := memory(t), serveClosely(t, img)
	c := cache.New(filepath.Join(dir, "cache"), cache.DefaultLimit)
	w := watched{Mirrors: m.URLs, Format: "docker-archive"}

	w.Output, w.Cache = filepath.Join(dir, "right"), filepath.Join(dir, "full")
	calls := w.start(t).ended
	right := pulltest.ReadFile(t, w.Output)
	sent := func() (n int64) {
		for _, l := range img.Layers {
			n += m.SentOf(l)
		}
		return n
	}

	w.Output, w.Cache = filepath.Join(dir, "app"), c.Dir()
	before, allowed := sent(), pulltest.BlobsOf(img)
	check := func(done bool) {
		t.Helper()
		if v, err := c.Verify(t.Context()); err != nil || len(v.Damaged) > 0 {
			t.Fatalf("%+v, %v", v, err)
		}
		if got, err := os.ReadFile(w.Output); !bytes.Equal(got, right) && (done || err == nil) {
			t.Fatalf("the output is wrong: %v", err)
		}
		pulltest.Must(t, os.RemoveAll(w.Output))
	}
	killed := 0
	for tries := 0; killed < 20; tries++ {
		if tries == 200 {
			t.Fatalf("only %d of %d pulls were killed", killed, tries)
		}
		w.kill = 1 + rand.IntN(calls)
		earlier := sent()
		if ended := w.start(t).ended; ended == 0 {
			killed++
		} else {
			calls = ended // what is in the cache already takes fewer
		}
		if sent() > earlier {
			allowed += mib // of the one connection
		}
		check(false)
	}
	w.kill = 0
	w.start(t)
	check(true)
	if fetched := sent() - before; fetched > allowed {
		t.Errorf("%d bytes were fetched, at most %d are allowed after %d kills", fetched, allowed, killed)
	}
	l, err := c.List(t.Context())
	pulltest.Must(t, err)
	if len(l.Images) != 1 || !l.Images[0].Complete || l.Unfinished > 0 {
		t.Errorf("the cache has %+v", l)
	}
}
