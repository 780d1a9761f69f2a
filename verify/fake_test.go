package verify

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/segment"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// layerOf is a layer of about size bytes, as gzip stores what it can't compress.
func layerOf(size int64) []byte {
	return registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{size}}).Layers[0].Bytes()
}

// fakeBlob is a blob in memory.
type fakeBlob struct {
	digest string
	size   int64
	names  []string // of sources

	mu      sync.Mutex
	data    []byte
	owners  []int // of each KiB: the source that served it, -1 for none
	arrived chan struct{}
	read    int64                          // bytes
	onRead  func(off int64) (damaged bool) // may be nil
}

func newFakeBlob(right []byte, names []string) *fakeBlob {
	b := &fakeBlob{digest: digestOf(right), size: int64(len(right)), names: names, data: make([]byte, len(right)), arrived: make(chan struct{})}
	for range (len(right) + kib - 1) / kib {
		b.owners = append(b.owners, -1)
	}
	return b
}

func (b *fakeBlob) Digest() string { return b.digest }
func (b *fakeBlob) Size() int64    { return b.size }

func (b *fakeBlob) Wait(ctx context.Context, off int64) error {
	for {
		b.mu.Lock()
		there, arrived := b.owners[off/kib] >= 0, b.arrived
		b.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *fakeBlob) Read(off int64, buf []byte) (int, error) {
	if b.onRead != nil && b.onRead(off) {
		return 0, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	end := off
	for end < b.size && end < off+MaxRun && b.owners[end/kib] >= 0 {
		end = min(end/kib*kib+kib, b.size, off+MaxRun)
	}
	b.read += end - off
	return copy(buf, b.data[off:end]), nil
}

func (b *fakeBlob) Prefix() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := slices.Index(b.owners, -1); k >= 0 {
		return int64(k) * kib
	}
	return b.size
}

func (b *fakeBlob) Runs() (runs []Run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, owner := range b.owners {
		if owner < 0 {
			continue
		}
		r := segment.Range{Start: int64(k) * kib, End: min(int64(k+1)*kib, b.size)}
		if n := len(runs); n > 0 && runs[n-1].End == r.Start && runs[n-1].Source == b.names[owner] {
			runs[n-1].End = r.End
			continue
		}
		runs = append(runs, Run{r, b.names[owner]})
	}
	return runs
}

func (b *fakeBlob) Replace(off int64, p []byte, source int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	copy(b.data[off:], p)
	for k := off / kib; k*kib < off+int64(len(p)); k++ {
		b.owners[k] = source
	}
	close(b.arrived)
	b.arrived = make(chan struct{})
	return nil
}

func (b *fakeBlob) Forget(r segment.Range) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := r.Start / kib; k*kib < r.End; k++ {
		b.owners[k] = -1
	}
	return nil
}

// damage changes bytes of a blob that a source sends. n counts its answers.
type damage func(p []byte, off int64, n int)

// inverted inverts the bytes of r.
func inverted(r segment.Range) damage {
	return func(p []byte, off int64, _ int) {
		at := r.Intersect(segment.Range{Start: off, End: off + int64(len(p))})
		for k := at.Start; k < at.End; k++ {
			p[k-off] ^= 0xff
		}
	}
}

// sometimes damages every other answer.
func sometimes(d damage) damage {
	return func(p []byte, off int64, n int) {
		if n%2 == 1 {
			d(p, off, n)
		}
	}
}

// fakeSource is a mirror in memory.
type fakeSource struct {
	name     string
	right    [][]byte
	damage   map[int]damage // of each blob
	delay    time.Duration  // before an answer; 0: a millisecond
	silent   bool
	lacks    bool
	whole    bool
	rationed bool
	limited  time.Duration // by rate limits
	mu       sync.Mutex
	calls    int // of ReadRanges
	answers  int
	served   int64
}

func (s *fakeSource) Name() string                  { return s.name }
func (s *fakeSource) WholeOnly() bool               { return s.whole }
func (s *fakeSource) Spare() bool                   { return !s.rationed }
func (s *fakeSource) LimitTime(int64) time.Duration { return s.limited }

func (s *fakeSource) Served() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

func (s *fakeSource) ReadRanges(ctx context.Context, blob int, ranges []segment.Range, budget segment.Budget, write func(off int64, p []byte) error) error {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	if s.lacks {
		return &segment.HopelessError{Reasons: []error{errors.New("404")}}
	}
	wait := max(s.delay, time.Millisecond)
	if s.silent {
		wait = time.Hour
	}
	select {
	case <-time.After(min(wait, budget.Idle)):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if wait > budget.Idle {
		return &segment.GiveUpError{After: budget.Idle}
	}
	for _, r := range ranges {
		if err := write(r.Start, s.read(blob, r)); err != nil {
			return err
		}
	}
	return nil
}

// read is what the source sends of a blob.
func (s *fakeSource) read(blob int, r segment.Range) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := bytes.Clone(s.right[blob][r.Start:r.End])
	if d := s.damage[blob]; d != nil {
		d(p, r.Start, s.answers)
	}
	s.answers++
	s.served += r.Len()
	return p
}

// world is a Search among fakes. It is the Scheduler too.
type world struct {
	t       *testing.T
	right   [][]byte
	blobs   []*fakeBlob
	sources []*fakeSource
	search  *Search
	corrupt *Corrupt

	mu       sync.Mutex
	trust    []segment.Trust
	holds    int  // Hold less Release
	held     bool // at any time
	wanted   []segment.Range
	suspects []string
	warnings []string
	fetch    bool // what is wanted arrives from the first source that is trusted
	assigned bool // the blobs are left to one source
}

// newWorld has blobs with these right bytes, which sources "a", "b" … serve.
func newWorld(t *testing.T, right [][]byte, sources ...*fakeSource) *world {
	return newWorldAfter(t, &Corrupt{}, right, sources...)
}

// newWorldAfter does the same where some sources may be corrupt already.
func newWorldAfter(t *testing.T, corrupt *Corrupt, right [][]byte, sources ...*fakeSource) *world {
	w := &world{t: t, right: right, corrupt: corrupt, sources: sources, trust: make([]segment.Trust, len(sources))}
	var names []string
	opts := Options{
		Scheduler:   w,
		Corrupt:     corrupt,
		Doubted:     make(map[string]bool),
		GiveUpAfter: time.Minute,
		Scratch:     func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "scratch") },
		Report: Report{
			Corrupt: func(f Finding) {
				if !slices.ContainsFunc(w.blobs, func(b *fakeBlob) bool { return b.Digest() == f.Blob }) {
					t.Errorf("%s sent wrong bytes of blob %q", f.Source, f.Blob)
				}
			},
			Suspect: func(source, _ string) { w.suspects = append(w.suspects, source) },
			Warn:    func(message string) { w.warnings = append(w.warnings, message) },
		},
	}
	for k, s := range sources {
		s.name, s.right = string(rune('a'+k)), right
		names = append(names, s.name)
		opts.Sources = append(opts.Sources, s)
	}
	for _, p := range right {
		w.blobs = append(w.blobs, newFakeBlob(p, names))
	}
	w.search = New(opts)
	for _, b := range w.blobs {
		w.search.Add(b)
	}
	t.Cleanup(w.search.Close)
	return w
}

func (w *world) Want(blob int, r segment.Range) {
	w.wanted = append(w.wanted, r)
	if !w.fetch {
		return
	}
	for k, s := range w.sources {
		if w.trust[k] == segment.Trusted && !s.lacks {
			w.serve(blob, k, r)
			return
		}
	}
}

func (w *world) SetTrust(source int, trust segment.Trust) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trust[source] = trust
}

func (w *world) Hold(int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds++
	w.held = true
}

func (w *world) Release(int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds--
}

func (w *world) Assigned(int) bool { return w.assigned }

func (w *world) Lacks(source, _ int) bool { return w.sources[source].lacks }

// serve puts what a source sends of a blob on disk.
func (w *world) serve(blob, source int, r segment.Range) {
	if err := w.blobs[blob].Replace(r.Start, w.sources[source].read(blob, r), source); err != nil {
		w.t.Error(err)
	}
}

// serveAlternately puts a whole blob on disk, in parts that sources send in
// turns.
func (w *world) serveAlternately(blob int, part int64, sources ...int) {
	size := w.blobs[blob].size
	for k := int64(0); k*part < size; k++ {
		w.serve(blob, sources[k%int64(len(sources))], segment.Range{Start: k * part, End: min((k+1)*part, size)})
	}
}

// askedFor is how many bytes were asked for, besides those of serve.
func (w *world) askedFor(blob int) (n int64) {
	for _, s := range w.sources {
		n += s.Served()
	}
	return n - w.blobs[blob].size
}

func (w *world) wantRight(blob int, right bool) {
	w.t.Helper()
	if got := bytes.Equal(w.blobs[blob].data, w.right[blob]); got != right {
		w.t.Errorf("the bytes on disk are right: %v", got)
	}
}

func (w *world) wantCorrupt(names ...string) {
	w.t.Helper()
	got := w.corrupt.Names()
	slices.Sort(got)
	if !slices.Equal(got, names) {
		w.t.Errorf("corrupt are %q, not %q", got, names)
	}
}

// inBubble runs fn in fake time.
func inBubble(t *testing.T, what string, fn func(t *testing.T)) {
	t.Run(what, func(t *testing.T) { synctest.Test(t, fn) })
}
