package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/segpull/segpull/segment"
)

// model is the expected state of a Blob, byte by byte.
type model struct {
	served [][]byte // what each source serves
	source []int    // of each byte; -1: missing
	record []int    // of each byte: which record has it
	last   int      // record
}

func newModel(served [][]byte) *model {
	m := &model{served: served, source: make([]int, len(served[0])), record: make([]int, len(served[0]))}
	m.forget(func(int) bool { return true })
	return m
}

// forget removes the records that it selects.
func (m *model) forget(meant func(record int) bool) {
	for i, r := range m.record {
		if meant(r) {
			m.source[i], m.record[i] = -1, 0
		}
	}
}

// touched reports whether a record has a byte in r.
func (m *model) touched(r segment.Range) func(record int) bool {
	inside := make(map[int]bool)
	for _, record := range m.record[r.Start:r.End] {
		inside[record] = record > 0
	}
	return func(record int) bool { return inside[record] }
}

func (m *model) write(r segment.Range, source int) {
	fresh := false // the byte before belongs to the new record
	for i := r.Start; i < r.End; i++ {
		fresh = fresh && (i-r.Start)%MaxRecord != 0
		if m.source[i] >= 0 {
			fresh = false
			continue
		}
		if !fresh {
			m.last++
			fresh = true
		}
		m.source[i], m.record[i] = source, m.last
	}
}

func (m *model) replace(r segment.Range, source int) {
	// If r is inside of a record, the bytes after r become a new record.
	if r.End < int64(len(m.record)) && r.End > 0 {
		old := m.record[r.End]
		m.last++
		for i := r.End; i < int64(len(m.record)) && m.record[i] == old && old > 0; i++ {
			m.record[i] = m.last
		}
	}
	for i := r.Start; i < r.End; i++ {
		m.source[i] = -1
	}
	m.write(r, source)
}

func (m *model) runs() (runs []Run, done int64) {
	for i, source := range m.source {
		if source < 0 {
			continue
		}
		done++
		r, name := segment.Range{Start: int64(i), End: int64(i) + 1}, strconv.Itoa(source)
		if n := len(runs); n > 0 && runs[n-1].End == r.Start && runs[n-1].Source == name {
			runs[n-1].End = r.End
		} else {
			runs = append(runs, Run{r, name})
		}
	}
	return runs, done
}

func (m *model) content() []byte {
	all := make([]byte, len(m.source))
	for i, source := range m.source {
		if source >= 0 {
			all[i] = m.served[source][i]
		}
	}
	return all
}

// Random operations: the Store is closed and opened in between, also with another offset
// of the blob, and bytes are damaged on disk. The Store always has the same state as the
// model.
func TestStoreIsLikeItsModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			size := 1 + rng.Int64N(5000)
			if seed%20 == 0 {
				size += MaxRecord // then writes become two records
			}
			checkAgainstModel(t, rng, size)
		})
	}
}

func checkAgainstModel(t *testing.T, rng *rand.Rand, size int64) {
	path := filepath.Join(t.TempDir(), "x")
	names := []string{"0", "1", "2"}
	m := newModel([][]byte{random(int(size), 10), random(int(size), 11), random(int(size), 12)})
	place := Placement{"sha256:a", size, 0}
	s := open(t, path, []Placement{place}, names...)
	reopen := func() {
		must(t, s.Close())
		s = open(t, path, []Placement{place}, names...)
	}
	for range 40 {
		b := s.Blob(0)
		r := segment.Range{Start: rng.Int64N(size)}
		r.End = r.Start + 1 + rng.Int64N(size-r.Start)
		source := rng.IntN(3)
		switch p := m.served[source][r.Start:r.End]; rng.IntN(9) {
		case 0, 1, 2, 3:
			r.End = min(r.End, r.Start+1+size/8)
			must(t, b.Write(r.Start, p[:r.Len()], source))
			m.write(r, source)
		case 4, 5:
			must(t, b.Replace(r.Start, p, source))
			m.replace(r, source)
		case 6:
			r.End = min(r.End, r.Start+1+size/8)
			must(t, b.Forget(r))
			m.forget(m.touched(r))
		case 7:
			if rng.IntN(2) == 0 {
				place.Offset = rng.Int64N(10_000)
			}
			reopen()
		case 8:
			if m.source[r.Start] < 0 {
				continue
			}
			flip(t, s.part.Name(), place.Offset+r.Start)
			m.forget(m.touched(segment.Range{Start: r.Start, End: r.Start + 1}))
			content(t, b) // finds it
		}
		checkModel(t, s.Blob(0), m)
	}
	if !bytes.Equal(content(t, s.Blob(0)), m.content()) {
		t.Error("the bytes are not those of the model")
	}
}

func checkModel(t *testing.T, b *Blob, m *model) {
	t.Helper()
	runs, done := m.runs()
	if got := b.Runs(); !slices.Equal(got, runs) {
		t.Fatalf("runs are %v, want %v", got, runs)
	}
	if b.Done() != done {
		t.Fatalf("done are %d, want %d", b.Done(), done)
	}
	var have segment.Set
	for _, run := range runs {
		have.Add(run.Range)
	}
	if got, want := b.Missing(), have.Without(segment.Range{End: b.Size()}); !slices.Equal(got, want) {
		t.Fatalf("missing are %v, want %v", got, want)
	}
}
