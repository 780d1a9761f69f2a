package fleetsim

import (
	"context"
	"reflect"
	"testing"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// one is a node that pulls an image of one blob from one origin.
func one() Fleet {
	return Fleet{
		Blobs: []int64{8 * mib}, Images: [][]int{{0}}, Links: []float64{mib}, Pulls: []Pull{{}},
		Origins: 1, Mirrors: 4 * mib, AtOnce: 3, Piece: 64 * kib, TagTTL: time.Minute,
	}
}

func run(t testing.TB, f Fleet) Result {
	t.Helper()
	r, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// near fails unless a time is another, up to the time of a few pieces.
func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+want/50 {
		t.Errorf("%s after %v, want %v and up to 2 %% more", what, got, want)
	}
}

// Cases that can be calculated by hand: each has one line that is the limit.
func TestTheSlowestLineIsTheLimit(t *testing.T) {
	tests := map[string]struct {
		change func(*Fleet)
		want   time.Duration
	}{
		"the node's link": {func(*Fleet) {}, 8 * time.Second},
		"the mirrors":     {func(f *Fleet) { f.Mirrors = mib / 2 }, 16 * time.Second},
		"the origin":      {func(f *Fleet) { f.OriginRate = mib / 4 }, 32 * time.Second},
		"the front":       {func(f *Fleet) { f.FrontRate = mib / 8 }, 64 * time.Second},
		"a late start":    {func(f *Fleet) { f.Pulls[0].At = time.Minute }, 68 * time.Second},
		"two nodes at the front": {func(f *Fleet) {
			f.FrontRate = mib
			f.Links = append(f.Links, mib)
			f.Pulls = append(f.Pulls, Pull{Node: 1})
		}, 16 * time.Second},
		"ten nodes at two origins, of which each has half of the bytes": {func(f *Fleet) {
			f.Origins, f.OriginRate, f.Links, f.Pulls = 2, mib, nil, nil
			f.Blobs, f.Images = halves()
			for i := range 10 {
				f.Links, f.Pulls = append(f.Links, 100*mib), append(f.Pulls, Pull{Node: i})
			}
		}, 40 * time.Second},
	}
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			f := one()
			tt.change(&f)
			near(t, "the last node", run(t, f).Last(), tt.want)
			near(t, "the bound", f.Bound(), tt.want)
		})
	}
}

// halves are two blobs of 4 MiB with different owners among two origins.
func halves() (sizes []int64, images [][]int) {
	image := []int{0}
	sizes = []int64{4 * mib}
	for owner(len(sizes), 2) == owner(0, 2) {
		sizes = append(sizes, 0) // not pulled
	}
	image = append(image, len(sizes))
	return append(sizes, 4*mib), [][]int{image}
}

// With VerifiedOnly, nothing is sent before the origin has all: the times add up.
func TestVerifiedOnly(t *testing.T) {
	f := one()
	f.VerifiedOnly = true
	r := run(t, f)
	near(t, "the node", r.Last(), 2*time.Second+8*time.Second)
	near(t, "the first byte", r.Cold[0], 2*time.Second+time.Second/16)
}

func TestFirstBytes(t *testing.T) {
	f := one()
	f.MirrorDelay, f.RoundTrip, f.TagTTL = 3*time.Second, time.Second, time.Minute
	f.Links, f.Pulls = []float64{mib, mib}, []Pull{{}, {At: 30 * time.Second, Node: 1}}
	r := run(t, f)
	if len(r.Cold) != 1 || len(r.Warm) != 1 {
		t.Fatalf("%d cold and %d warm, want one of each", len(r.Cold), len(r.Warm))
	}
	// The pieces come over the mirrors' line, and then over the link.
	near(t, "the first byte from the mirrors", r.Cold[0], time.Second+3*time.Second+time.Second/64+time.Second/16)
	near(t, "the first byte from the cache", r.Warm[0], time.Second+time.Second/16)
	near(t, "the first pull, with the tag", r.Done[0].At, time.Second+3*time.Second+time.Second+3*time.Second+8*time.Second)
	if r.Asked != 2 || r.Resolved != 1 {
		t.Errorf("%d requests for tags, %d at the mirrors; want 2 and 1", r.Asked, r.Resolved)
	}
	f.Pulls[1].At = time.Minute
	if r := run(t, f); r.Resolved != 2 {
		t.Errorf("after the time of the tag, it was resolved %d times", r.Resolved)
	}
}

// many are nodes that pull several images with a shared base, some of them two.
func many() Fleet {
	f := Fleet{Origins: 3, OriginRate: 10 * mib, FrontRate: 25 * mib, Mirrors: 2 * mib, MirrorDelay: 20 * time.Millisecond, RoundTrip: time.Millisecond, AtOnce: 2, Piece: 256 * kib}
	f.Blobs = []int64{1, 5 * mib, 100*kib + 7} // a base
	for i := range 4 {
		f.Blobs = append(f.Blobs, mib, 300*kib)
		f.Images = append(f.Images, []int{0, 1, 2, 3 + 2*i, 4 + 2*i})
	}
	for i := range 40 {
		f.Links = append(f.Links, float64(1+i%3)*mib)
		f.Pulls = append(f.Pulls, Pull{At: time.Duration(i) * 50 * time.Millisecond, Node: i, Image: i % 4})
	}
	for i := range 10 {
		f.Pulls = append(f.Pulls, Pull{At: time.Minute, Node: i, Image: (i + 1) % 4})
	}
	return f
}

// Each byte that a node gets was sent by one origin or peer, and each blob came from the
// mirrors once.
func TestBytesAreConserved(t *testing.T) {
	for _, change := range []func(*Fleet){
		func(*Fleet) {},
		func(f *Fleet) { f.VerifiedOnly = true },
		func(f *Fleet) { f.FrontRate, f.OriginRate = 0, 0 },
		func(f *Fleet) { f.Peers = true },
	} {
		f := many()
		change(&f)
		r := run(t, f)
		var need, got, served int64
		for _, size := range f.Blobs {
			need += size
		}
		for i, d := range r.Done {
			got += d.Bytes
			image := f.Images[f.Pulls[i].Image]
			want := f.Blobs[image[3]] + f.Blobs[image[4]] // a node has the base after its first pull
			if i < 40 {
				want += f.Blobs[0] + f.Blobs[1] + f.Blobs[2]
			}
			if d.Bytes != want || d.At <= f.Pulls[i].At {
				t.Errorf("pull %d got %d bytes until %v, want %d", i, d.Bytes, d.At, want)
			}
		}
		for _, n := range r.Origins {
			served += n
		}
		if r.Mirrored != need || r.Served != served || r.Served+r.Shared != got || (r.Shared > 0) != f.Peers {
			t.Errorf("the mirrors sent %d of %d bytes; origins %d, nodes %d of %d", r.Mirrored, need, r.Served, r.Shared, got)
		}
		if len(r.Cold)+len(r.Warm) != 40*5+10*2 {
			t.Errorf("%d and %d first bytes", len(r.Cold), len(r.Warm))
		}
		if bound := f.Bound(); r.Last() < bound || r.Last() > bound+bound/2 {
			t.Errorf("the last pull ended after %v, and the bound is %v", r.Last(), bound)
		}
		if again := run(t, f); !reflect.DeepEqual(again, r) {
			t.Error("the same fleet gives another result")
		}
	}
}

// Peers carry what one origin cannot: a hundred nodes that begin within a while, and an
// origin for ten. Nodes that ask for a blob at the same moment all get it from the origin.
func TestPeersShareTheLoad(t *testing.T) {
	f := one()
	f.OriginRate, f.Mirrors, f.Blobs, f.Images = 10*mib, 10*mib, []int64{mib, mib, mib, mib, mib, mib, mib, mib}, [][]int{{0, 1, 2, 3, 4, 5, 6, 7}}
	f.Links, f.Pulls = nil, nil
	for i := range 100 {
		f.Links, f.Pulls = append(f.Links, mib), append(f.Pulls, Pull{At: time.Duration(i) * time.Second / 5, Node: i})
	}
	alone := run(t, f).Last()
	f.Peers = true
	r := run(t, f)
	if near(t, "the last node without peers", alone, 80*time.Second); r.Last() > alone*2/3 {
		t.Errorf("with peers, the last node had its image after %v, without after %v", r.Last(), alone)
	}
	if r.Shared < r.Served {
		t.Errorf("peers sent %d bytes, the origin %d", r.Shared, r.Served)
	}
}

// A disk for two of three blobs: the one that was not used for the longest time is fetched
// again.
func TestADiskThatIsFull(t *testing.T) {
	f := one()
	f.Blobs, f.OriginDisk = []int64{mib, mib, mib}, 2*mib
	f.Images = [][]int{{0}, {1}, {2}}
	f.Links, f.Pulls = nil, nil
	for i, image := range []int{0, 1, 0, 2, 0, 1} { // 2 removes 1, and not 0
		f.Links = append(f.Links, mib)
		f.Pulls = append(f.Pulls, Pull{At: time.Duration(i) * time.Minute, Node: i, Image: image})
	}
	r := run(t, f)
	if len(r.Cold) != 4 || r.Mirrored != 4*mib {
		t.Errorf("%d blobs were fetched, %d bytes; want 0, 1, 2 and 1 again", len(r.Cold), r.Mirrored)
	}
	if want := float64(mib) / 60; r.Busiest != want {
		t.Errorf("the busiest minute had %f bytes a second, want %f", r.Busiest, want)
	}
}

func BenchmarkRun(b *testing.B) {
	f := many()
	f.Piece = kib
	pieces := 0
	for b.Loop() {
		r := run(b, f)
		pieces += int(r.Served) / kib
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(pieces), "ns/piece")
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := many().Run(ctx); err != context.Canceled {
		t.Errorf("after an interruption: %v", err)
	}
}
