package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/internal/testmain"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

func TestMain(m *testing.M) { testmain.Main(m) }

const (
	mib  = 1 << 20
	repo = "team/app"
)

// fixture is a transfer of the layers of an image from mirrors that have it.
type fixture struct {
	img      registrytest.Image
	mirrors  []*registrytest.Server
	names    []string // of the sources
	transfer *Transfer
	corrupt  verify.Corrupt
}

func newFixture(t *testing.T, mirrors int, layers ...int64) *fixture {
	t.Helper()
	return newOpenFixture(t, false, mirrors, layers...)
}

// newOpenFixture has a transfer that may be kept open.
func newOpenFixture(t *testing.T, keepOpen bool, mirrors int, layers ...int64) *fixture {
	t.Helper()
	f := &fixture{img: registrytest.NewImage(registrytest.ImageOptions{Seed: 1, Layers: layers, Platform: "linux/amd64"})}
	first := registrytest.New()
	first.Push(repo, "1", f.img)
	var urls []string
	for i := range mirrors {
		server := first
		if i > 0 {
			server = first.Mirror()
		}
		f.mirrors = append(f.mirrors, server)
		urls = append(urls, server.Start(t))
	}
	set, _, err := sources.New(sources.Config{}, sources.NewLogins(filepath.Join(t.TempDir(), "none"), nil), urls, sources.Images{Registry: "registry.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	for _, src := range set.Sources() {
		f.names = append(f.names, src.Name())
	}
	blobs, store := f.place(t, f.img.Layers...)
	f.transfer = New(Options{
		Repository: repo, Blobs: blobs, Sources: set.Sources(), Store: store, KeepOpen: keepOpen, Corrupt: &f.corrupt,
		Limiter: segment.NewLimiter(0), GiveUpAfter: 10 * time.Second, SegmentSize: 256 << 10,
		Report: Report{
			Search:  verify.Report{Corrupt: func(verify.Finding) {}, Suspect: func(string, string) {}, Warn: func(string) {}},
			Trouble: func(string, error) {},
		},
	})
	return f
}

// place opens a store for blobs.
func (f *fixture) place(t *testing.T, blobs ...registrytest.Blob) (descriptors []ocispec.Descriptor, store *state.Store) {
	t.Helper()
	var places []state.Placement
	end := int64(0)
	for _, b := range blobs {
		places = append(places, state.Placement{Digest: string(b.Digest), Size: b.Size, Offset: end})
		descriptors = append(descriptors, b.Descriptor)
		end += b.Size
	}
	store, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "app.tar"), places, f.names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return descriptors, store
}

func (f *fixture) throttle(rate int64) {
	for _, m := range f.mirrors {
		m.Throttle(rate)
	}
}

// run runs the transfer, and returns how it ended.
func (f *fixture) run(t *testing.T) func() error {
	return f.runUntil(t.Context())
}

func (f *fixture) runUntil(ctx context.Context) func() error {
	ended := make(chan error, 1)
	go func() { ended <- f.transfer.Run(ctx) }()
	return func() error { return <-ended }
}

func TestSendWhileItArrives(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2, 2*mib, mib)
	f.throttle(2 * mib)
	wait := f.run(t)
	var readers sync.WaitGroup
	for range 3 {
		for i, l := range f.img.Layers {
			readers.Go(func() {
				var got bytes.Buffer
				if err := f.transfer.Send(t.Context(), &got, i, whole(l)); err != nil || !bytes.Equal(got.Bytes(), l.Bytes()) {
					t.Errorf("layer %d: %d bytes, %v", i, got.Len(), err)
				}
			})
		}
	}
	readers.Wait()
	if err := wait(); err != nil {
		t.Error(err)
	}
	var got bytes.Buffer
	if err := f.transfer.Send(t.Context(), &got, 0, whole(f.img.Layers[0])); err != nil || !bytes.Equal(got.Bytes(), f.img.Layers[0].Bytes()) {
		t.Errorf("afterwards: %d bytes, %v", got.Len(), err)
	}
}

// TestSendNeverEndsWithWrongBytes reads from mirrors of which one or all send
// wrong bytes: the reader gets the right bytes, or an error before the last
// one.
func TestSendNeverEndsWithWrongBytes(t *testing.T) {
	for what, mirrors := range map[string]int{"of the only mirror": 1, "of one of two": 2} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, mirrors, 2*mib)
			f.throttle(4 * mib)
			f.mirrors[0].Misbehave(registrytest.Flip(mib/2, 2*mib))
			wait := f.run(t)
			var got bytes.Buffer
			err := f.transfer.Send(t.Context(), &got, 0, whole(f.img.Layers[0]))
			if right := bytes.Equal(got.Bytes(), f.img.Layers[0].Bytes()); right != (err == nil) {
				t.Errorf("right: %v, %v", right, err)
			}
			if err == nil && mirrors == 1 || err != nil && int64(got.Len()) == f.img.Layers[0].Size {
				t.Errorf("%d bytes, %v", got.Len(), err)
			}
			if err := wait(); (err == nil) != (mirrors == 2) {
				t.Error(err)
			}
			if err := f.transfer.Wait(t.Context(), 0); (err == nil) != (mirrors == 2) {
				t.Errorf("Wait says %v", err)
			}
		})
	}
}

// TestAReaderComesFirst reads the start of the last blob of a slow transfer.
func TestAReaderComesFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1, 4*mib, 4*mib)
	f.throttle(mib)
	wait := f.run(t)
	began := time.Now()
	enough := errors.New("enough")
	read := int64(0)
	err := f.transfer.Send(t.Context(), writer(func(p []byte) (int, error) {
		if read += int64(len(p)); read > mib/4 {
			return 0, enough
		}
		return len(p), nil
	}), 1, segment.Range{Start: mib, End: 2 * mib})
	if took := time.Since(began); err != enough || took > 3*time.Second {
		t.Errorf("a quarter of a MiB of the second blob took %v, %v", took, err)
	}
	f.throttle(0)
	if err := wait(); err != nil {
		t.Error(err)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestEndOneBlob(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1, 2*mib, mib)
	f.throttle(mib)
	wait := f.run(t)
	sent := make(chan error)
	go func() { sent <- f.transfer.Send(t.Context(), io.Discard, 0, whole(f.img.Layers[0])) }()
	time.Sleep(200 * time.Millisecond)
	f.transfer.End(0)
	if err := <-sent; err != ErrEnded {
		t.Errorf("the reader got %v", err)
	}
	if err := wait(); err != nil {
		t.Errorf("the others: %v", err)
	}
	for i, want := range []error{ErrEnded, nil} {
		if err := f.transfer.Wait(t.Context(), i); err != want {
			t.Errorf("blob %d: %v", i, err)
		}
	}
	if n := f.mirrors[0].Stats().Bytes; n > 5*mib/2 {
		t.Errorf("%d bytes were served", n)
	}
	f.transfer.End(1)
	if err := f.transfer.Wait(t.Context(), 1); err != nil {
		t.Errorf("a blob that is right ended with %v", err)
	}
	if err := f.transfer.Send(t.Context(), io.Discard, 1, whole(f.img.Layers[1])); err != nil {
		t.Errorf("a blob that is right can't be read: %v", err)
	}
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1, mib)
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := f.transfer.Wait(ctx, 0); err != cause {
		t.Error(err)
	}
	if err := f.transfer.Send(ctx, io.Discard, 0, whole(f.img.Layers[0])); err != cause {
		t.Error(err)
	}
	if err := f.transfer.Run(ctx); err != cause {
		t.Error(err)
	}
	if err := f.transfer.Wait(t.Context(), 0); err != cause {
		t.Errorf("after the end of Run: %v", err)
	}
}

// TestAdd keeps a transfer open, and adds blobs: one that the mirrors have, one
// that none has, one that none has right.
func TestAdd(t *testing.T) {
	t.Parallel()
	f := newOpenFixture(t, true, 2, mib)
	other := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Layers: []int64{mib, 2 * mib, mib}})
	for _, m := range f.mirrors {
		m.Push(repo, "2", other)
		m.Misbehave(registrytest.Status(404).Of(other.Layers[1].Digest), registrytest.Flip(0, mib).Of(other.Layers[2].Digest))
	}
	ctx, stop := context.WithCancelCause(t.Context())
	wait := f.runUntil(ctx)
	if err := f.transfer.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for i, want := range []func(error) bool{
		func(err error) bool { return err == nil },
		is[*segment.HopelessError],
		is[*verify.MismatchError],
	} {
		descriptors, store := f.place(t, other.Layers[i])
		first, err := f.transfer.Add(descriptors, store)
		if err != nil || first != i+1 {
			t.Fatalf("blob %d has index %d, %v", i+1, first, err)
		}
		if err := f.transfer.Wait(t.Context(), first); !want(err) {
			t.Errorf("blob %d: %v", first, err)
		}
		if i > 0 {
			if err := store.Remove(); err != nil {
				t.Error(err)
			}
		}
	}
	time.Sleep(3 * syncInterval / 2) // the stores that are gone are left out
	var got bytes.Buffer
	if err := f.transfer.Send(t.Context(), &got, 1, whole(other.Layers[0])); err != nil || !bytes.Equal(got.Bytes(), other.Layers[0].Bytes()) {
		t.Errorf("%d bytes of the blob that was added, %v", got.Len(), err)
	}
	cause := errors.New("enough")
	stop(cause)
	if err := wait(); err != cause {
		t.Errorf("it ended with %v", err)
	}
	late, err := f.transfer.Add(f.place(t, other.Layers[0]))
	if err != ErrEnded || f.transfer.Wait(t.Context(), late) != ErrEnded {
		t.Errorf("added after the end: %v", err)
	}
}

func whole(b registrytest.Blob) segment.Range { return segment.Range{End: b.Size} }

// TestSendARange reads ranges of a blob that arrives slowly: the middle at once, and the
// last bytes only when the blob is right.
func TestSendARange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2, 4*mib)
	f.throttle(mib / 2)
	wait := f.run(t)
	layer := f.img.Layers[0]
	var readers sync.WaitGroup
	for _, r := range []struct {
		segment.Range
		last bool
	}{
		{segment.Range{Start: 2 * mib, End: 2*mib + 100}, false},
		{segment.Range{Start: 3 * mib, End: 3*mib + 1}, false},
		{segment.Range{Start: 0, End: 1}, false},
		{segment.Range{Start: 3*mib + mib/2, End: layer.Size}, true},
		{segment.Range{Start: layer.Size - 1, End: layer.Size}, true},
	} {
		readers.Go(func() {
			var got bytes.Buffer
			began := time.Now()
			err := f.transfer.Send(t.Context(), &got, 0, r.Range)
			if err != nil || !bytes.Equal(got.Bytes(), layer.Bytes()[r.Start:r.End]) {
				t.Errorf("%v: %d bytes, %v", r, got.Len(), err)
			}
			if took := time.Since(began); !r.last && took > 2*time.Second { // all takes four
				t.Errorf("%v took %v", r, took)
			}
			if right := f.transfer.Wait(canceled(), 0) == nil; right != r.last {
				t.Errorf("%v: the blob is right: %t", r, right)
			}
		})
	}
	readers.Wait()
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// canceled is for a Wait that does not wait.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestSendStopsWhereBytesWereReplaced reads a range with wrong bytes, and then slowly
// the rest: it ends before the last bytes.
func TestSendStopsWhereBytesWereReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2, 2*mib)
	f.throttle(2 * mib)
	f.mirrors[0].Misbehave(registrytest.Flip(0, 2*mib))
	wait := f.run(t)
	layer := f.img.Layers[0]
	var got bytes.Buffer
	err := f.transfer.Send(t.Context(), writer(func(p []byte) (int, error) {
		if got.Len() == 0 {
			_ = f.transfer.Wait(t.Context(), 0) // so that wrong bytes have been replaced
		}
		return got.Write(p)
	}), 0, whole(layer))
	first := min(got.Len(), 100)
	if wrong := !bytes.Equal(got.Bytes()[:first], layer.Bytes()[:first]); wrong != (err == ErrAltered) || err != nil && err != ErrAltered {
		t.Errorf("wrong bytes: %t, %v after %d bytes", wrong, err, got.Len())
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// fakeStore has all layers of an image.
type fakeStore struct {
	img    registrytest.Image
	spoil  int64 // this byte of each blob is wrong; -1: none
	err    error // of each request
	served atomic.Int64
}

func (*fakeStore) Name() string { return "the store" }

func (s *fakeStore) Open(_ context.Context, _ string, b ocispec.Descriptor, start, end int64) (io.ReadCloser, int64, int64, error) {
	i := slices.IndexFunc(s.img.Layers, func(l registrytest.Blob) bool { return l.Digest == b.Digest })
	if s.err != nil {
		return nil, 0, 0, s.err
	}
	body := slices.Clone(s.img.Layers[i].Bytes()[start:end])
	if start <= s.spoil && s.spoil < end {
		body[s.spoil-start] ^= 1
	}
	s.served.Add(end - start)
	return io.NopCloser(bytes.NewReader(body)), start, end, nil
}

// TestAShared shows that a shared store is asked for the blobs that it has, and the mirrors for the others. What
// it fails to send, or sends wrong, comes from the mirrors.
func TestAShared(t *testing.T) {
	for name, tc := range map[string]struct {
		store   *fakeStore
		shared  bool // all blobs are
		mirrors bool // they are asked
		corrupt bool // the store is
	}{
		"has the blobs":      {&fakeStore{spoil: -1}, true, false, false},
		"does not have them": {&fakeStore{spoil: -1}, false, true, false},
		"fails":              {&fakeStore{err: errors.New("down")}, true, true, false},
		"sends wrong bytes":  {&fakeStore{spoil: 5 * mib}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newOpenFixture(t, true, 2)
			other := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Layers: []int64{6 * mib, 8 << 10}})
			for _, m := range f.mirrors {
				m.Push(repo, "2", other)
			}
			tc.store.img = other
			opts := f.transfer.opts
			opts.Blobs, opts.Store, opts.Shared, opts.Scratch = nil, nil, tc.store, func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "") }
			var found []verify.Finding
			opts.Report.Search.Corrupt = func(f verify.Finding) { found = append(found, f) }
			f.names = append(f.names, tc.store.Name())
			f.transfer = New(opts)
			ctx, stop := context.WithCancel(t.Context())
			wait := f.runUntil(ctx)
			add := f.transfer.Add
			if tc.shared {
				add = f.transfer.AddShared
			}
			first, err := add(f.place(t, other.Layers...))
			if err != nil {
				t.Fatal(err)
			}
			for i := range other.Layers {
				if err := f.transfer.Wait(t.Context(), first+i); err != nil {
					t.Error(err)
				}
			}
			served := f.mirrors[0].Stats().Bytes + f.mirrors[1].Stats().Bytes
			if (served > 0) != tc.mirrors || (tc.store.served.Load() > 0) != (tc.shared && tc.store.err == nil) {
				t.Errorf("the mirrors served %d bytes, the store %d", served, tc.store.served.Load())
			}
			if tc.corrupt != (len(found) > 0) || tc.corrupt && (found[0].Source != "the store" || found[0].Blob != string(other.Layers[0].Digest)) {
				t.Errorf("findings %v", found)
			}
			if s := f.transfer.Sources(); len(s) != 3 || !s[2].Shared || s[0].Shared || s[2].Bytes != tc.store.served.Load() {
				t.Errorf("status %+v", s)
			}
			stop()
			_ = wait()
		})
	}
}
