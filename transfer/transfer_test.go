package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mib  = 1 << 20
	repo = "team/app"
)

// fixture is a transfer of the layers of an image from mirrors that have it.
type fixture struct {
	img      registrytest.Image
	mirrors  []*registrytest.Server
	transfer *Transfer
	corrupt  verify.Corrupt
}

func newFixture(t *testing.T, mirrors int, layers ...int64) *fixture {
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
	set, _, err := sources.New(sources.Config{}, sources.NewLogins(filepath.Join(t.TempDir(), "none"), nil), urls, "registry.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	var places []state.Placement
	var blobs []ocispec.Descriptor
	end := int64(0)
	for _, l := range f.img.Layers {
		places = append(places, state.Placement{Digest: string(l.Digest), Size: l.Size, Offset: end})
		blobs = append(blobs, l.Descriptor)
		end += l.Size
	}
	var names []string
	for _, src := range set.Sources() {
		names = append(names, src.Name())
	}
	store, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "app.tar"), places, names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f.transfer = New(Options{
		Repository: repo, Blobs: blobs, Sources: set.Sources(), Store: store, Corrupt: &f.corrupt,
		Limiter: segment.NewLimiter(0), GiveUpAfter: 10 * time.Second, SegmentSize: 256 << 10,
		Report: Report{
			Search:  verify.Report{Corrupt: func(verify.Finding) {}, Suspect: func(string, string) {}, Warn: func(string) {}},
			Trouble: func(string, error) {},
		},
	})
	return f
}

func (f *fixture) throttle(rate int64) {
	for _, m := range f.mirrors {
		m.Throttle(rate)
	}
}

// run runs the transfer, and returns how it ended.
func (f *fixture) run(t *testing.T) func() error {
	ended := make(chan error, 1)
	go func() { ended <- f.transfer.Run(t.Context()) }()
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
				if err := f.transfer.Send(t.Context(), &got, i); err != nil || !bytes.Equal(got.Bytes(), l.Bytes()) {
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
	if err := f.transfer.Send(t.Context(), &got, 0); err != nil || !bytes.Equal(got.Bytes(), f.img.Layers[0].Bytes()) {
		t.Errorf("afterwards: %d bytes, %v", got.Len(), err)
	}
}

// TestSendNeverEndsWithWrongBytes reads from mirrors of which one or all send
// wrong bytes: what is read is right, or not whole and no success.
func TestSendNeverEndsWithWrongBytes(t *testing.T) {
	for what, mirrors := range map[string]int{"of the only mirror": 1, "of one of two": 2} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, mirrors, 2*mib)
			f.throttle(4 * mib)
			f.mirrors[0].Misbehave(registrytest.Flip(mib/2, 2*mib))
			wait := f.run(t)
			var got bytes.Buffer
			err := f.transfer.Send(t.Context(), &got, 0)
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
		if read += int64(len(p)); read > mib/2 {
			return 0, enough
		}
		return len(p), nil
	}), 1)
	if took := time.Since(began); err != enough || took > 3*time.Second {
		t.Errorf("half a MiB of the second blob took %v, %v", took, err)
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
	go func() { sent <- f.transfer.Send(t.Context(), io.Discard, 0) }()
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
	if err := f.transfer.Send(t.Context(), io.Discard, 1); err != nil {
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
	if err := f.transfer.Send(ctx, io.Discard, 0); err != cause {
		t.Error(err)
	}
	if err := f.transfer.Run(ctx); err != cause {
		t.Error(err)
	}
	if err := f.transfer.Wait(t.Context(), 0); err != cause {
		t.Errorf("after the end of Run: %v", err)
	}
}
