package segment

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// plan is a scheduler at work: every source has all that it asks for.
type plan struct {
	*scheduler
	now     time.Time
	running []*task
}

func newPlan(sources, segments int) *plan {
	connections := make([]int, sources)
	for i := range connections {
		connections[i] = 4
	}
	size := int64(segments) * defaultSegmentSize
	p := &plan{newScheduler(0, []int64{size}, connections, 1), time.Unix(0, 0), nil}
	p.want(0, Range{Start: 0, End: size})
	return p
}

// decide ends the oldest task and lets its source have another. It is false
// when nothing is left to do.
func (p *plan) decide() bool {
	for t := p.next(p.now); t != nil; t = p.next(p.now) {
		p.running = append(p.running, t)
	}
	if len(p.running) == 0 {
		return false
	}
	t := p.running[0]
	p.running = p.running[1:]
	p.now = p.now.Add(time.Millisecond)
	p.opened(t, t.asked, p.now)
	p.advance(t, t.asked.Len(), p.now)
	p.end(t, outcome{kind: outcomeDone}, p.now)
	return true
}

// BenchmarkDecision is one segment's way through the scheduler. It should grow
// with neither the segments nor the sources.
func BenchmarkDecision(b *testing.B) {
	for _, sources := range []int{3, 30, 1000} {
		for _, segments := range []int{1_000, 1_000_000} {
			b.Run(fmt.Sprintf("sources=%d/segments=%d", sources, segments), func(b *testing.B) {
				p := newPlan(sources, segments)
				for b.Loop() {
					if !p.decide() {
						b.StopTimer()
						p = newPlan(sources, segments)
						b.StartTimer()
					}
				}
			})
		}
	}
}

// BenchmarkLimiter is permission for what one read takes, by one connection
// and by many.
func BenchmarkLimiter(b *testing.B) {
	const read = 64 << 10
	for _, bench := range []struct {
		name    string
		limiter *Limiter
	}{
		{"none", nil},
		{"without a rate", NewLimiter(0)},
		{"never reached", NewLimiter(1 << 50)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(read)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := bench.limiter.Take(b.Context(), read); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkFetch brings 64 MiB from four sources in memory to a file.
func BenchmarkFetch(b *testing.B) {
	const size = 64 * mib
	for _, bench := range []struct {
		name  string
		limit int64
	}{
		{"unlimited", 0},
		{"under a limit", 1 << 40},
	} {
		b.Run(bench.name, func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "part"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				fetchOnce(b, size, bench.limit, file)
			}
		})
	}
}

func fetchOnce(b *testing.B, size, limit int64, file *os.File) {
	peers := make([]Peer, 4)
	for i := range peers {
		peers[i] = Peer{Opener: zeros{}, Name: fmt.Sprint("source ", i)}
	}
	to := &sink{file: file}
	to.left.Store(size)
	f := NewFetch(Options{
		Blobs: []int64{size}, Peers: peers, Sink: to, Limiter: NewLimiter(limit),
	})
	to.full = f.Settle
	f.Want(0, Range{Start: 0, End: size})
	if err := f.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// sink writes to a file until it is full.
type sink struct {
	file *os.File
	left atomic.Int64
	full func()
}

func (s *sink) Write(_ int, off int64, p []byte, _ int) error {
	_, err := s.file.WriteAt(p, off)
	if s.left.Add(-int64(len(p))) == 0 {
		s.full()
	}
	return err
}

// zeros is a source with no end of zeros.
type zeros struct{}

func (zeros) Open(_ context.Context, _ int, r Range) (Answer, error) {
	return Answer{Body: io.NopCloser(io.LimitReader(zeros{}, r.Len())), Range: r}, nil
}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
