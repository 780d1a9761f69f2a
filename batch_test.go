package segpull_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// An image of a batch that fails does not stop the others, and a layer of several is
// fetched once.
func TestABatchGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 700*kib, 300*kib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Push("team/other", "2", img)
	bad := pulltest.ImageOf(2, 200*kib)
	m.Servers[0].Push("team/bad", "3", bad)
	for _, s := range m.Servers {
		s.Misbehave(registrytest.Flip(100, 101).Of(bad.Layers[0].Digest))
	}
	rec, out := &pulltest.Recorder{}, filepath.Join(t.TempDir(), "out")
	refs := []string{"registry.example/team/missing:1", "registry.example/team/bad:3", ref, "UPPER:x:y", "registry.example/team/other:2", ref}
	results, err := m.Pull(t, segpull.Options{Batch: true, Output: out, NoRace: true, Observer: rec}, refs...)
	var batch *segpull.BatchError
	if !errors.As(err, &batch) || !errors.Is(err, segpull.ErrNotFound) || errors.Is(err, segpull.ErrMismatch) {
		t.Fatalf("%d results, %v", len(results), err)
	}
	pulltest.WantError(t, err, segpull.ErrNotFound, "4 of 6 images failed", "team/missing:1", "team/bad:3", "UPPER:x:y")
	for i, want := range []struct {
		index int
		class error
		word  string
	}{
		{0, segpull.ErrNotFound, "team/missing:1"},
		{1, segpull.ErrMismatch, "team/bad:3"},
		{3, segpull.ErrUsage, "UPPER:x:y"},
		{5, segpull.ErrUsage, "name each image once"},
	} {
		got := batch.Failed[i]
		if got.Index != want.index || !errors.Is(got.Err, want.class) || !strings.Contains(got.Err.Error(), want.word) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if events := pulltest.EventsOf[segpull.Failed](rec); len(events) != 4 || events[0].Class != "usage" || events[0].Reference != "UPPER:x:y" {
		t.Errorf("events %+v", events)
	}
	if len(results) != 2 {
		t.Fatalf("results %+v", results)
	}
	for _, r := range results {
		pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
	}
	for _, b := range img.Layers {
		if sent := m.SentOf(b); sent >= b.Size*3/2 {
			t.Errorf("%d bytes were served of a layer of %d", sent, b.Size)
		}
	}
}

// Layers of an image that failed are not used without a check.
func TestABatchTakesNothingFromAFailure(t *testing.T) {
	t.Parallel()
	one := pulltest.ImageOf(1, 100*kib, 300*kib)
	m := pulltest.Serve(t, 1, one)
	two := pulltest.ImageOf(1, 100*kib)
	m.Servers[0].Push("team/other", "2", two)
	m.Servers[0].Misbehave(registrytest.All(
		registrytest.Flip(100, 101).Of(one.Layers[0].Digest).Times(1),
		registrytest.Status(403).Of(one.Layers[1].Digest)))
	results, err := m.Pull(t, segpull.Options{Batch: true, Output: t.TempDir()}, ref, "registry.example/team/other:2")
	for _, r := range results {
		pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), two)
	}
	if batch, ok := errors.AsType[*segpull.BatchError](err); !ok || batch.Failed[0].Index != 0 {
		t.Errorf("%d results, %v", len(results), err)
	}
}

func TestABatchHasADirectoryAndPlatforms(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 10*kib))
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64"})
	m.Servers[0].Push("team/index", "1", registrytest.NewIndex(pulltest.ImageOf(1, 10*kib), arm))
	out := filepath.Join(t.TempDir(), "new")
	opts := segpull.Options{Batch: true, Output: out, Platform: "linux/amd64"}
	if _, err := m.Pull(t, opts, ref); err != nil {
		t.Error(err)
	}
	opts.Platforms = []string{"linux/arm64", "", "s390x?"}
	const index = "registry.example/team/index:1"
	results, err := m.Pull(t, opts, index, index, index)
	pulltest.WantError(t, err, segpull.ErrUsage, "1 of 3")
	if len(results) != 2 || results[0].Platform != "linux/arm64" || results[1].Platform != "linux/amd64" {
		t.Errorf("%+v", results)
	}
	opts.Platforms = opts.Platforms[:1]
	_, err = m.Pull(t, opts, index, index)
	pulltest.WantError(t, err, segpull.ErrUsage, "1 platforms for 2 images")
}

func TestTheEndOfItsContextEndsABatch(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 10*kib))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := &pulltest.Recorder{}
	_, err := m.PullContext(ctx, t, segpull.Options{Batch: true, Output: t.TempDir(), Observer: rec}, ref, "registry.example/team/other:2")
	if !errors.Is(err, context.Canceled) || len(pulltest.EventsOf[segpull.Failed](rec)) != 0 {
		t.Errorf("%v, events %+v", err, rec.Events)
	}
}
