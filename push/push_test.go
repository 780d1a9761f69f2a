package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fake is a registry with one repository.
type fake struct {
	mu        sync.Mutex
	blobs     map[digest.Digest]bool
	mountable bool
	fails     []error       // of the next requests that change something
	takes     time.Duration // for each upload
	asked     []string
	now, most int
}

func (f *fake) change(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
	if len(f.fails) == 0 {
		return nil
	}
	err := f.fails[0]
	f.fails = f.fails[1:]
	return err
}

func (f *fake) Has(_ context.Context, _ string, d digest.Digest) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blobs[d], nil
}

func (f *fake) Mount(_ context.Context, _, from string, _ digest.Digest) (bool, error) {
	return f.mountable, f.change("mount from " + from)
}

func (f *fake) Upload(ctx context.Context, _, from string, b ocispec.Descriptor, open func() io.Reader) (bool, error) {
	if from != "" && f.mountable {
		return true, f.change("mount from " + from)
	}
	f.enter(1)
	defer f.enter(-1)
	r := open()
	if err := f.change("upload"); err != nil {
		_, _ = r.Read(make([]byte, 1))
		return false, err
	}
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	body, err := io.ReadAll(r)
	if err == nil && digest.FromBytes(body) != b.Digest {
		err = errors.New("other bytes")
	}
	return false, err
}

func (f *fake) enter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now += n
	f.most = max(f.most, f.now)
}

func (f *fake) PutManifest(_ context.Context, _, reference, mediaType string, _ []byte) error {
	return f.change(reference + " " + mediaType)
}

var content = []byte("the bytes of a layer")

func layer() ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
}

func open() io.Reader { return bytes.NewReader(content) }

// refusal is an error that a second request would not change.
type refusal struct{ error }

func (refusal) Refused() bool { return true }

// busy asks to wait.
type busy struct{ error }

func (busy) RetryAfter() (time.Duration, bool) { return 20 * time.Second, true }

// pushed pushes the layer, and returns how many bytes were counted.
func pushed(t *testing.T, opts Options) (sent int64, err error) {
	var n atomic.Int64
	opts.Sent = func(b int64) { n.Add(b) }
	if opts.GiveUpAfter == 0 {
		opts.GiveUpAfter = time.Minute
	}
	err = New(opts).Blob(t.Context(), layer(), open)
	return n.Load(), err
}

func TestABlobThatIsThereIsNotSent(t *testing.T) {
	f := &fake{blobs: map[digest.Digest]bool{layer().Digest: true}}
	if sent, err := pushed(t, Options{Registry: f}); sent != layer().Size || err != nil || len(f.asked) > 0 {
		t.Errorf("%d bytes, %v, %v", sent, err, f.asked)
	}
}

func TestABlobIsMountedOrSent(t *testing.T) {
	for _, mountable := range []bool{true, false} {
		f := &fake{mountable: mountable}
		sent, err := pushed(t, Options{Registry: f, From: func(digest.Digest) string { return "team/app" }})
		want := map[bool]string{true: "[mount from team/app]", false: "[upload]"}[mountable]
		if sent != layer().Size || err != nil || fmt.Sprint(f.asked) != want {
			t.Errorf("%d bytes, %v, %v", sent, err, f.asked)
		}
	}
}

func TestABlobIsMountedBeforeAnyoneFetchesIt(t *testing.T) {
	for what, c := range map[string]struct {
		registry *fake
		from     string
		has      bool
		asked    string
	}{
		"there":        {&fake{blobs: map[digest.Digest]bool{layer().Digest: true}}, "team/app", true, "[]"},
		"mounted":      {&fake{mountable: true}, "team/app", true, "[mount from team/app]"},
		"not mounted":  {&fake{}, "team/app", false, "[mount from team/app]"},
		"from nowhere": {&fake{mountable: true}, "", false, "[]"},
	} {
		p := New(Options{Registry: c.registry, GiveUpAfter: time.Minute, From: func(digest.Digest) string { return c.from }})
		has, err := p.HasOrMounts(t.Context(), layer().Digest)
		if has != c.has || err != nil || fmt.Sprint(c.registry.asked) != c.asked {
			t.Errorf("%s: %v, %v, %v", what, has, err, c.registry.asked)
		}
	}
}

func TestAFailedUploadIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fails: []error{errors.New("reset"), busy{errors.New("too many")}, errors.New("reset")}}
		var troubles int
		began := time.Now()
		sent, err := pushed(t, Options{Registry: f, Trouble: func(error) { troubles++ }})
		if sent != layer().Size || err != nil || len(f.asked) != 4 || troubles != 3 {
			t.Errorf("%d bytes, %v, %v, %d troubles", sent, err, f.asked, troubles)
		}
		// A second, then what the registry asked for, then four.
		if waited := time.Since(began); waited != 25*time.Second {
			t.Errorf("it waited for %v", waited)
		}
	})
}

func TestAfterFiveFailuresAnUploadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, reset := &fake{}, errors.New("reset")
		for range 5 {
			f.fails = append(f.fails, reset)
		}
		if sent, err := pushed(t, Options{Registry: f}); sent != 0 || !errors.Is(err, reset) || len(f.asked) != 5 {
			t.Errorf("%d bytes, %v, %v", sent, err, f.asked)
		}
	})
}

func TestARefusalEndsThePush(t *testing.T) {
	f := &fake{fails: []error{refusal{errors.New("no")}}}
	if _, err := pushed(t, Options{Registry: f}); err == nil || len(f.asked) != 1 {
		t.Errorf("%v, %v", err, f.asked)
	}
}

func TestASilentRegistryIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Hour}
		if _, err := pushed(t, Options{Registry: f}); err == nil || err.Error() != "no progress for 1m0s" {
			t.Errorf("the error is %v", err)
		}
		// Slow is not silent: each block is progress.
		f = &fake{}
		_, err := pushed(t, Options{Registry: f, Limit: func(context.Context, int) error { time.Sleep(50 * time.Second); return nil }})
		if err != nil {
			t.Errorf("a slow upload: %v", err)
		}
	})
}

func TestFourBlobsAreSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Second}
		p := New(Options{Registry: f, GiveUpAfter: time.Minute})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if err := p.Blob(t.Context(), layer(), open); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if f.most != 4 {
			t.Errorf("%d were sent at once", f.most)
		}
	})
}

func TestAManifestIsPutByTagOrDigest(t *testing.T) {
	f := &fake{}
	p := New(Options{Registry: f, GiveUpAfter: time.Minute})
	m := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: layer().Digest}
	if err := errors.Join(p.Manifest(t.Context(), m, "", content), p.Manifest(t.Context(), m, "1", content)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[%s %s 1 %[2]s]", m.Digest, m.MediaType)
	if fmt.Sprint(f.asked) != want {
		t.Errorf("it was asked for %v", f.asked)
	}
}

func TestEveryWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		f := &fake{takes: time.Hour, fails: []error{errors.New("reset")}}
		p := New(Options{Registry: f, GiveUpAfter: 2 * time.Hour})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(500*time.Millisecond, func() { cancel(enough) })
		var all sync.WaitGroup
		for range 2 * atOnce {
			all.Go(func() {
				if err := p.Blob(ctx, layer(), open); !errors.Is(err, enough) {
					t.Errorf("the error is %v", err)
				}
			})
		}
		all.Wait()
	})
}
