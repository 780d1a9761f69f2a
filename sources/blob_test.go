package sources

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestABlobComesFromAnySource(t *testing.T) {
	t.Parallel()
	want := make([]byte, imageA.Config.Size)
	if _, err := imageA.Config.ReadAt(want, 0); err != nil {
		t.Fatal(err)
	}
	for about, faults := range map[string][]registrytest.Fault{
		"another has it": {registrytest.Status(404)},
		"one is corrupt": {registrytest.Flip(10, 11)},
		"one is silent":  {registrytest.StallAfter(5)},
		"one breaks off": {registrytest.CutAfter(5)},
		"no ranges":      {registrytest.IgnoreRange()},
	} {
		bad, first := serving(t, imageA)
		_, second := serving(t, imageA)
		bad.Misbehave(faults...)
		got, err := newSet(t, Config{}, first, second).Blob(t.Context(), app, imageA.Config.Descriptor)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", about, len(got), err)
		}
	}
}

func TestABlobThatBreaksOffIsAskedForAgain(t *testing.T) {
	weak, address := serving(t, imageA)
	weak.Misbehave(registrytest.CutAfter(5).Times(1))
	if got, err := newSet(t, Config{}, address).Blob(t.Context(), app, imageA.Config.Descriptor); err != nil || len(got) == 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestABlobThatNoSourceHas(t *testing.T) {
	s, address := serving(t, imageA)
	set := newSet(t, Config{}, address)
	s.Misbehave(registrytest.Flip(10, 11))
	if _, err := set.Blob(t.Context(), app, imageA.Config.Descriptor); !mismatched(err) {
		t.Errorf("from a corrupt source only: %v", err)
	}
	if n := s.Stats().Requests[registrytest.KindBlob]; n != 1 {
		t.Errorf("a corrupt source was asked %d times", n)
	}
	s.Misbehave()
	big := ocispec.Descriptor{Digest: digest.FromString("x"), Size: image.MaxConfigSize + 1}
	if _, err := set.Blob(t.Context(), app, big); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("one too big: %v", err)
	}
	s.Misbehave(registrytest.StallAfter(5))
	set.GiveUpAfter = 100 * time.Millisecond
	began := time.Now()
	_, err := set.Blob(t.Context(), app, imageA.Config.Descriptor)
	if _, ok := errors.AsType[*FetchError](err); !ok || time.Since(began) > 5*time.Second {
		t.Errorf("a silent source: %v after %v", err, time.Since(began))
	}
}
