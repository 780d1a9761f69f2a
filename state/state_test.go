package state

import (
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		roles[role](os.Getenv(pathVariable))
		return
	}
	os.Exit(m.Run())
}

// A test that needs a second process starts this binary again, in a role.
const (
	roleVariable = "SEGPULL_STATE_TEST_ROLE"
	pathVariable = "SEGPULL_STATE_TEST_PATH"
)

var roles = map[string]func(path string){}

// random returns n bytes that depend only on seed.
func random(n int, seed uint64) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

// must fails the test if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string, blobs []Placement, sources ...string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, blobs, sources)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// damaged collects the damaged ranges that a Store reports.
func damaged(s *Store) func() []segment.Range {
	var mu sync.Mutex
	var reported []segment.Range
	s.Damaged = func(_ int, r segment.Range) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, r)
	}
	return func() []segment.Range {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(reported)
	}
}

// content reads all valid bytes of a blob; the other bytes are zero.
func content(t testing.TB, b *Blob) []byte {
	t.Helper()
	all, buf := make([]byte, b.Size()), make([]byte, MaxRecord)
	for off := int64(0); off < b.Size(); {
		n, err := b.Read(off, buf)
		must(t, err)
		copy(all[off:], buf[:n])
		off += int64(n)
		if n == 0 {
			off = recordedFrom(b, off)
		}
	}
	return all
}

// recordedFrom returns the first recorded byte at off or after it.
func recordedFrom(b *Blob, off int64) int64 {
	for _, run := range b.Runs() {
		if run.End > off {
			return max(off, run.Start)
		}
	}
	return b.Size()
}

// flip changes the byte at off of a file.
func flip(t testing.TB, name string, off int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b[:], off)
	must(t, err)
}
