package segpull_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestEventsDescribeThePull(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib, 300*kib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Misbehave(registrytest.Status(500).Of(img.Layers[0].Digest).Times(2))
	for _, s := range m.Servers {
		s.Throttle(2 * mib)
	}
	rec := &pulltest.Recorder{}
	r := m.MustPull(t, segpull.Options{Observer: rec})

	resolved := pulltest.EventsOf[segpull.Resolved](rec)
	if len(resolved) != 1 || len(pulltest.EventsOf[segpull.Finished](rec)) != 1 {
		t.Fatalf("%d images resolved, %d finished", len(resolved), len(pulltest.EventsOf[segpull.Finished](rec)))
	}
	if _, ok := rec.Events[0].(segpull.Resolved); !ok {
		t.Errorf("the first event is a %T", rec.Events[0])
	}
	if _, ok := rec.Events[len(rec.Events)-1].(segpull.Finished); !ok {
		t.Errorf("the last event is a %T", rec.Events[len(rec.Events)-1])
	}
	if first := resolved[0]; first.Source != m.Name(0) || first.Size != pulltest.BlobsOf(img) || len(first.Blobs) != 3 || first.Path != r.Path {
		t.Errorf("resolved to %+v", first)
	}

	samples := pulltest.EventsOf[segpull.Progress](rec)
	done := int64(0)
	for _, p := range samples {
		if p.Done < done || p.Done > p.Total || p.Total != pulltest.BlobsOf(img) {
			t.Errorf("%d of %d bytes done, after %d", p.Done, p.Total, done)
		}
		done = p.Done
	}
	last := samples[len(samples)-1]
	if last.Done != last.Total || last.Remaining.Duration != 0 {
		t.Errorf("at last %d of %d bytes, %v remaining", last.Done, last.Total, last.Remaining)
	}
	for _, b := range last.Blobs {
		if b.Done != b.Size || b.Verified != b.Size {
			t.Errorf("at last %+v", b)
		}
	}
	if n := len(samples); n < 2 {
		t.Errorf("%d samples in about half a second", n)
	}
	if got := pulltest.EventsOf[segpull.Trouble](rec); len(got) == 0 || got[0].Source != m.Name(0) {
		t.Errorf("troubles %+v", got)
	}

	var came int64
	failed := 0
	for _, q := range pulltest.EventsOf[segpull.Request](rec) {
		came += q.Bytes
		if q.Error != "" {
			failed++
		}
		if q.Source != m.Name(0) && q.Source != m.Name(1) || q.Bytes > q.End-q.Start || q.Waited.Duration <= 0 || q.Duration.Duration < q.Waited.Duration {
			t.Errorf("request %+v", q)
		}
	}
	if came != r.Fetched || failed == 0 {
		t.Errorf("%d bytes came by requests, want %d; %d requests failed", came, r.Fetched, failed)
	}

	var shares int64
	for i, s := range r.Sources {
		shares += s.Bytes
		if s.Name != m.Name(i) {
			t.Errorf("source %d: %+v", i, s)
		}
	}
	if r.Fetched != shares || r.Fetched < r.Size || r.Fetched > r.Size*11/10+slack || r.Size != pulltest.BlobsOf(img) || r.Resumed != 0 || r.Duration.Duration <= 0 {
		t.Errorf("result %+v", r)
	}
}

// An event that is written as JSON and read again is the same, and no list is null.
func TestEventsAsJSON(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 100*kib))
	rec := &pulltest.Recorder{}
	opts := segpull.Options{Observer: rec, Output: t.TempDir() + "/app.tar"}
	m.MustPull(t, opts)
	m.MustPull(t, opts) // is up to date
	for _, e := range append(rec.Events, segpull.Stalled{Silent: segpull.Duration{Duration: 10250 * time.Millisecond}, Reasons: []string{"silent"}}) {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(bytes.ReplaceAll(text, []byte(`"remaining_seconds":null`), nil), []byte("null")) {
			t.Errorf("%s: %s", e.Kind(), text)
		}
		again := reflect.New(reflect.TypeOf(e))
		if err := json.Unmarshal(text, again.Interface()); err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again.Interface()); err != nil || !bytes.Equal(second, text) {
			t.Errorf("%s became %s, %v", text, second, err)
		}
	}
}

// BenchmarkMemory pulls many layers, so that many hashes run at the same time, and one
// large blob. The peak includes the memory of the server.
func BenchmarkMemory(b *testing.B) {
	many := make([]int64, 300)
	for i := range many {
		many[i] = 20 * kib
	}
	for name, layers := range map[string][]int64{"300 layers": many, "one layer of 1 GiB": {1 << 30}} {
		b.Run(name, func(b *testing.B) {
			img := registrytest.NewImage(registrytest.ImageOptions{Layers: layers, Platform: "linux/amd64", Compression: registrytest.Uncompressed})
			reg := registrytest.New()
			reg.Push(repo, "1", img)
			url := reg.Start(b)
			b.SetBytes(pulltest.BlobsOf(img))
			var peak uint64
			rec := &pulltest.Recorder{Hook: func(segpull.Event) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}}
			for b.Loop() {
				_, err := segpull.Pull(b.Context(), segpull.Options{
					Mirrors: []string{url}, Output: b.TempDir() + "/app.tar", Platform: "linux/amd64", Observer: rec,
				}, ref)
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(peak)/mib, "peak-heap-MiB")
		})
	}
}
