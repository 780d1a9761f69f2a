package hostiletest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// within fails a test whose pull hangs.
func within(t *testing.T, m *pulltest.Mirrors, most time.Duration, opts segpull.Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	if _, err := m.PullContext(ctx, t, opts); err != nil {
		t.Error(err)
	}
}

// breaksOff ignores ranges, and closes the connection after 40 KiB of each answer.
func breaksOff() registrytest.Fault {
	return registrytest.All(registrytest.Truncate(40*kib), registrytest.IgnoreRange()).On(registrytest.KindBlob)
}

// TestAStreamThatAlwaysBreaksOff has a source that sends the same bytes again and again.
// They must not count as progress, nor delay the other source.
func TestAStreamThatAlwaysBreaksOff(t *testing.T) {
	t.Parallel()
	t.Run("beside an honest one", func(t *testing.T) {
		t.Parallel()
		m := pulltest.Serve(t, 2, pulltest.ImageOf(1, 8*mib))
		m.Servers[0].Misbehave(breaksOff())
		m.Servers[1].Misbehave(registrytest.Latency(100 * time.Millisecond))
		m.Servers[1].Throttle(8 * mib)
		within(t, m, 20*time.Second, segpull.Options{})
	})
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		m := pulltest.Serve(t, 1, pulltest.ImageOf(1, mib))
		m.Servers[0].Misbehave(breaksOff())
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := m.PullContext(ctx, t, segpull.Options{GiveUpAfter: time.Second})
		pulltest.WantError(t, err, segpull.ErrNetwork)
	})
	// The wrong bytes make the honest source a suspect; then the stream only
	// repeats bytes.
	t.Run("of a corrupt source", func(t *testing.T) {
		t.Parallel()
		img, other := pulltest.TextImage(t, 1, 6*mib), pulltest.TextImage(t, 11, 6*mib)
		m, layer := pulltest.Serve(t, 2, img), img.Layers[0].Digest
		long := func(r *http.Request) bool {
			var start, last int64
			_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &last)
			return err != nil || last-start > 200*kib || start >= mib
		}
		m.Servers[0].Misbehave(registrytest.Impostor(other.Layers[0]).Of(layer), breaksOff().When(long).Of(layer))
		m.Servers[1].Throttle(2 * mib)
		within(t, m, 30*time.Second, segpull.Options{})
	})
}

// TestACorruptSourceServesWhatNoOtherHas checks that a blob that only a corrupt
// source has is fetched from it: its digest decides.
func TestACorruptSourceServesWhatNoOtherHas(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib, 4*mib)
	small, large := img.Layers[0].Digest, img.Layers[1].Digest
	lacks := func(of ...registrytest.Blob) registrytest.Fault {
		f := registrytest.Status(404)
		for _, b := range of {
			f = f.Of(b.Digest)
		}
		return f
	}
	for what, faults := range map[string][]registrytest.Fault{
		"a source that corrupts another blob": {registrytest.Flip(0, mib).Of(img.Config.Digest), lacks(img.Layers[1])},
		"sources that corrupt other bytes":    {registrytest.Flip(mib/2, mib/2+8).Of(small), registrytest.Flip(mib, mib+8).Of(small), lacks(img.Layers[0])},
		"one slip":                            {registrytest.Flip(0, mib).Of(large).Times(1), lacks(img.Layers[1])},
		"one slip, and no other any":          {registrytest.Flip(0, mib).Of(large).Times(1), registrytest.Status(404)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, len(faults), img)
			for i, f := range faults {
				m.Servers[i].Misbehave(f)
				m.Servers[i].Throttle(4 * mib)
			}
			r := m.MustPull(t, segpull.Options{SegmentSize: 128 * kib})
			pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
		})
	}
}

// bitsOf returns the bytes of a blob with one wrong bit in each step bytes.
func bitsOf(b registrytest.Blob, step int64) registrytest.Fault {
	return registrytest.Rewrite(func(p []byte, offset int64) {
		for k := (step/2 - offset) & (step - 1); k < int64(len(p)); k += step {
			p[k] ^= 0x10
		}
	}).Of(b.Digest)
}

// TestACorruptSourceDelaysNoPull pulls from a source that stops answering, or
// answers slowly, after it sent wrong bytes.
func TestACorruptSourceDelaysNoPull(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*mib, 60*kib)
	for what, tc := range map[string]struct {
		corrupt int // 0: it resolves the tag, and is trusted first
		then    func(*registrytest.Server, ...registrytest.Fault)
	}{
		"silence": {1, func(s *registrytest.Server, fault ...registrytest.Fault) {
			s.Misbehave(append(fault, registrytest.Hang())...)
		}},
		"a trickle": {0, func(s *registrytest.Server, _ ...registrytest.Fault) { s.Throttle(20 * kib) }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 2, img)
			fault := bitsOf(img.Layers[0], 64*kib)
			m.Servers[tc.corrupt].Misbehave(fault)
			for _, s := range m.Servers {
				s.Throttle(mib)
			}
			rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
				if p, ok := e.(segpull.Progress); ok && p.Done >= pulltest.BlobsOf(img)*9/10 {
					tc.then(m.Servers[tc.corrupt], fault)
				}
			}}
			began := time.Now()
			within(t, m, 90*time.Second, segpull.Options{Observer: rec, SegmentSize: 128 * kib})
			if took := time.Since(began); took > 50*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestASourceWithoutRangesProvesWrongBytes compares with a source whose answers all
// begin with the first byte.
func TestASourceWithoutRangesProvesWrongBytes(t *testing.T) {
	t.Parallel()
	t.Run("at little cost", func(t *testing.T) {
		t.Parallel()
		img := pulltest.ImageOf(1, 16*mib)
		m := pulltest.Serve(t, 2, img)
		m.Servers[0].Misbehave(bitsOf(img.Layers[0], 256*kib))
		m.Servers[1].Misbehave(registrytest.IgnoreRange())
		for _, s := range m.Servers {
			s.Throttle(24 * mib)
		}
		r := m.MustPull(t, segpull.Options{})
		if ratio := float64(r.Fetched) / float64(pulltest.BlobsOf(img)); ratio > 5 {
			t.Errorf("%.2f of the bytes were fetched", ratio)
		}
	})
	t.Run("however long it takes", func(t *testing.T) {
		t.Parallel()
		img := pulltest.ImageOf(1, 5*mib/2) // of which the second source sends 400 KiB a second: longer than GiveUpAfter
		m := pulltest.Serve(t, 2, img)
		fault := registrytest.Flip(9*mib/4, 9*mib/4+1).Of(img.Layers[0].Digest)
		m.Servers[0].Misbehave(fault)
		m.Servers[1].Misbehave(registrytest.IgnoreRange())
		m.Servers[0].Throttle(3 * mib)
		m.Servers[1].Throttle(400 * kib)
		rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
			if p, ok := e.(segpull.Progress); ok && p.Done >= pulltest.BlobsOf(img) {
				m.Servers[0].Misbehave(registrytest.Status(500), fault)
			}
		}}
		within(t, m, time.Minute, segpull.Options{Observer: rec, GiveUpAfter: 3 * time.Second})
	})
}

// TestBombsInManyLayersAtOnce bounds the memory for decompressing what arrives. No other test runs at the same time.
func TestBombsInManyLayersAtOnce(t *testing.T) {
	var sizes []int64
	for i := range int64(4) {
		sizes = append(sizes, 4*mib+i*kib) // a smaller layer is not decompressed while it arrives
	}
	img := pulltest.ImageOf(1, sizes...)
	m := pulltest.Serve(t, 2, img)
	// The pauses let segpull decompress the bombs of several layers at the same time.
	bombs := registrytest.All(
		registrytest.Impostor(registrytest.NewBlob("", bomb(t, 5*mib))),
		registrytest.PauseAfter(20*kib, time.Second/2).Times(8),
	)
	m.Servers[0].Misbehave(bombs.Of(digests(img.Layers)...))
	m.Servers[1].Throttle(32 * mib)
	ctx, stop := context.WithCancel(t.Context())
	most := make(chan uint64)
	go func() { most <- largestHeap(ctx) }()
	within(t, m, time.Minute, segpull.Options{})
	stop()
	if n := <-most; n > 128*mib { // 20 MiB are usual
		t.Errorf("%d MiB of heap", n/mib)
	}
}

func digests(blobs []registrytest.Blob) (all []digest.Digest) {
	for _, b := range blobs {
		all = append(all, b.Digest)
	}
	return all
}

func largestHeap(ctx context.Context) (most uint64) {
	for ctx.Err() == nil {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		most = max(most, s.HeapAlloc)
		time.Sleep(20 * time.Millisecond)
	}
	return most
}

// bomb is the start of a zstd stream with a window of 128 MiB (RFC 8878, 3.1.1.1.2):
// the header of a tar, and blocks that repeat a byte 128 Ki times.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "x", Mode: 0o644, Size: 1 << 33}); err != nil {
		t.Fatal(err)
	}
	block := func(kind, n int) []byte {
		n = n<<3 | kind<<1
		return []byte{byte(n), byte(n >> 8), byte(n >> 16)}
	}
	z := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88}, block(0, head.Len())...)
	z = append(z, head.Bytes()...)
	for int64(len(z))+4 <= size {
		z = append(append(z, block(1, 128*kib)...), 0)
	}
	return append(z, make([]byte, size-int64(len(z)))...)
}
