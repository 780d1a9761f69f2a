package state

import (
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/segpull/segpull/segment"
)

// The number of bytes that a transfer writes and a hash reads in one call: a gigabyte
// needs 4,096 calls of each.
const (
	benchRun  = MaxRecord
	benchSize = 256 << 20
)

func benchStore(b *testing.B) *Store {
	return open(b, filepath.Join(b.TempDir(), "image.tar"), []Placement{{"sha256:a", benchSize, 1536}}, "a")
}

// again empties a full blob, while the timer is stopped.
func again(b *testing.B, s *Store) {
	b.StopTimer()
	blob := s.Blob(0)
	blob.cut(segment.Range{End: benchSize})
	b.StartTimer()
}

func BenchmarkWrite(b *testing.B) {
	s, p := benchStore(b), random(benchRun, 1)
	b.SetBytes(benchRun)
	off := int64(0)
	for b.Loop() {
		if off == benchSize {
			again(b, s)
			off = 0
		}
		must(b, s.Write(0, off, p, 0))
		off += benchRun
	}
}

// BenchmarkWriteParallel calls Write from many connections, each for its own range,
// which is empty.
func BenchmarkWriteParallel(b *testing.B) {
	s, p := benchStore(b), random(benchRun, 1)
	b.SetBytes(benchRun)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			off := next.Add(1) * benchRun % benchSize
			if err := s.Blob(0).Forget(segment.Range{Start: off, End: off + MaxRecord}); err != nil {
				b.Error(err)
			}
			if err := s.Write(0, off, p, 0); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	const size = 64 << 20
	s, p, buf := benchStore(b), random(benchRun, 1), make([]byte, MaxRecord)
	for off := int64(0); off < size; off += benchRun {
		must(b, s.Write(0, off, p, 0))
	}
	b.SetBytes(benchRun)
	off := int64(0)
	for b.Loop() {
		n, err := s.Blob(0).Read(off, buf)
		must(b, err)
		off = (off + int64(n)) % size
	}
}

func BenchmarkReplace(b *testing.B) {
	s, p := benchStore(b), random(benchRun, 1)
	must(b, s.Write(0, 0, make([]byte, 4*MaxRecord), 0))
	b.SetBytes(benchRun)
	for b.Loop() {
		must(b, s.Blob(0).Replace(MaxRecord/2, p, 0)) // the worst case: it splits two records
	}
}

// BenchmarkOpen is the opening of a directory that has a thousand records.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "image.tar")
	blobs := []Placement{{"sha256:a", benchSize, 0}}
	s := open(b, path, blobs, "a")
	for off := int64(0); off < benchSize; off += MaxRecord {
		r := segment.Range{Start: off, End: off + MaxRecord}
		must(b, s.Blob(0).record(have{r, 0, 0})) // Open does not read its bytes
	}
	must(b, s.Close())
	for b.Loop() {
		s, err := Open(b.Context(), path, blobs, []string{"a"})
		must(b, err)
		must(b, s.Close())
	}
}
