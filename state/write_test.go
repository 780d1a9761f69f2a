package state

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull/segment"
)

func TestFirstOfTwoWritesStays(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", 100, 0}}, "first", "second")
	first, second := random(100, 1), random(100, 2)
	must(t, s.Write(0, 20, first[20:50], 0))
	must(t, s.Write(0, 0, second, 1))
	must(t, s.Write(0, 0, first, 0)) // a second request that comes too late
	want := slices.Concat(second[:20], first[20:50], second[50:])
	if !bytes.Equal(content(t, s.Blob(0)), want) {
		t.Error("recorded bytes were written again, or missing ones were not")
	}
	runs := []Run{{segment.Range{Start: 0, End: 20}, "second"}, {segment.Range{Start: 20, End: 50}, "first"}, {segment.Range{Start: 50, End: 100}, "second"}}
	if got := s.Blob(0).Runs(); !slices.Equal(got, runs) {
		t.Errorf("runs are %v, want %v", got, runs)
	}
}

func TestWriteOutsideOfTheBlob(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", 100, 0}, {"sha256:b", 100, 100}}, "a")
	for _, off := range []int64{-1, 91, 100, 1 << 40} {
		if err := s.Write(0, off, make([]byte, 10), 0); err == nil {
			t.Errorf("10 bytes at %d were written to a blob of 100", off)
		}
		if err := s.Blob(0).Replace(off, make([]byte, 10), 0); err == nil {
			t.Errorf("10 bytes at %d were replaced in a blob of 100", off)
		}
	}
	if s.Blob(0).Done() != 0 || s.Blob(1).Done() != 0 {
		t.Error("something was recorded")
	}
}

// After a failed write, all of its bytes are missing, also those of later gaps.
func TestFailedWriteLeavesItsBytesMissing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", 100, 0}}, "a")
	must(t, s.Write(0, 40, make([]byte, 20), 0))
	must(t, s.part.Close())
	if err := s.Write(0, 0, make([]byte, 100), 0); err == nil {
		t.Fatal("written to a closed file")
	}
	if got, want := s.Blob(0).Missing(), ranges(0, 40, 60, 100); !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
	if err := s.Blob(0).Replace(30, make([]byte, 20), 0); err == nil {
		t.Fatal("replaced in a closed file")
	}
}

// Sources write overlapping ranges and replace others, while one goroutine reads in
// order and another reads the state: in the end all bytes are recorded, and each is the
// byte of its recorded source.
func TestConcurrentWriters(t *testing.T) {
	const size, block = 3 << 20, 100_000
	served := [][]byte{random(size, 0), random(size, 1), random(size, 2)}
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", size, 512}}, "0", "1", "2")
	reported := damaged(s)
	b := s.Blob(0)
	var g sync.WaitGroup
	for source := range served {
		g.Go(func() {
			blocks := rand.Perm(size/block + 1)
			for _, i := range blocks {
				off := int64(i) * block
				p := served[source][off:min(off+block, size)]
				if err := b.Write(off, p, source); err != nil {
					t.Error(err)
				}
				if i%7 == source {
					if err := b.Replace(off, p[:len(p)/2], source); err != nil {
						t.Error(err)
					}
				}
				b.Done()
				b.Missing()
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	g.Go(func() {
		buf := make([]byte, MaxRecord)
		for off := int64(0); off < size; {
			if err := b.Wait(ctx, off); err != nil {
				t.Errorf("byte %d: %v", off, err)
				return
			}
			n, err := b.Read(off, buf)
			if err != nil {
				t.Error(err)
			}
			off += int64(n)
		}
	})
	g.Wait()
	if len(reported()) > 0 {
		t.Errorf("taken for damage: %v", reported())
	}
	checkServed(t, b, func(source string) []byte { return served[source[0]-'0'] })
	if b.Done() != size {
		t.Errorf("%d of %d bytes are there", b.Done(), size)
	}
}

// checkServed checks that each valid byte is the byte of its recorded source.
func checkServed(t testing.TB, b *Blob, served func(source string) []byte) {
	t.Helper()
	all := content(t, b) // forgets what is damaged
	for _, run := range b.Runs() {
		if !bytes.Equal(all[run.Start:run.End], served(run.Source)[run.Start:run.End]) {
			t.Errorf("bytes %v are not those that %s served", run.Range, run.Source)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", 100, 0}}, "a")
		time.AfterFunc(time.Second, func() { s.Write(0, 0, make([]byte, 50), 0) })
		time.AfterFunc(2*time.Second, func() { s.Write(0, 50, make([]byte, 50), 0) })
		began := time.Now()
		must(t, s.Blob(0).Wait(t.Context(), 70))
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("waited %v for the byte that came after 2s", waited)
		}
		must(t, s.Blob(0).Forget(segment.Range{Start: 70, End: 71}))
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := s.Blob(0).Wait(ctx, 70); err != cause {
			t.Errorf("Wait() = %v, want the cause of its context", err)
		}
	})
}

func TestManySourcesOverTheRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	blobs := []Placement{{"sha256:a", 100, 0}}
	for i := range byte(20) {
		s := open(t, path, blobs, "unused", string('a'+i))
		must(t, s.Blob(0).Replace(int64(i%4)*25, make([]byte, 25), 1))
		must(t, s.Close())
	}
	s := open(t, path, blobs)
	if want := []string{"q", "r", "s", "t"}; !slices.Equal(s.header.Sources, want) {
		t.Errorf("sources are %v, want those of the last four runs %v", s.header.Sources, want)
	}
}

// A pull of 40 MiB is synced each 16 MiB, and towards its end in halves of what is missing.
func TestSyncDue(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{"sha256:a", 24 * mib, 512}, {"sha256:b", 16 * mib, 24*mib + 512}}, "a")
	p := random(mib/2, 1)
	var due []float64 // MiB that have arrived
	for at := int64(0); at < 40*mib; at += mib / 2 {
		blob, off := 0, at
		if at >= 24*mib {
			blob, off = 1, at-24*mib
		}
		must(t, s.Write(blob, off, p, 0))
		if s.SyncDue() {
			due = append(due, float64(at)/mib+0.5)
			must(t, s.Sync())
		}
	}
	if want := []float64{16, 28, 34, 37, 38.5, 39.5}; !slices.Equal(due, want) {
		t.Errorf("syncs were due after %v MiB, want %v", due, want)
	}
}
