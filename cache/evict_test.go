package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/internal/registrytest"
)

// sizeOf is the size of an image in a cache that has nothing else.
func sizeOf(img registrytest.Image) int64 {
	n := img.Manifest.Size + img.Config.Size
	for _, l := range img.Layers {
		n += l.Size
	}
	return n
}

// makeRoom is Room with another limit, and checks what it says.
func makeRoom(t *testing.T, c *Cache, limit, bytes int64, keep digest.Digest) {
	t.Helper()
	before, err := c.List(t.Context())
	must(t, err)
	done, err := New(c.Dir(), limit).Room(t.Context(), bytes, keep)
	must(t, err)
	after, err := c.List(t.Context())
	must(t, err)
	if blobs, size := len(before.Blobs)-len(after.Blobs), before.Size-after.Size; done.Blobs != blobs || done.Bytes != size {
		t.Errorf("it says that %+v were evicted, but %d blobs of %d bytes are gone", done, blobs, size)
	}
}

func listedSize(t *testing.T, c *Cache) int64 {
	t.Helper()
	l, err := c.List(t.Context())
	must(t, err)
	return l.Size
}

func TestTheLeastRecentlyUsedImageGoesFirst(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	var images []registrytest.Image
	for i, minutes := range []int{3, 9, 1, 5} {
		images = append(images, newImage(uint64(i), 200*kib))
		putImage(t, c, fmt.Sprintf("app:%d", i), images[i])
		use(t, c, minutes, images[i])
	}
	one := sizeOf(images[0])
	for _, step := range []struct {
		limit, bytes int64
		keep         digest.Digest
		want         []string
	}{
		{4 * one * 2, 0, "", []string{"app:0", "app:1", "app:2", "app:3"}},
		{4*one + 4*kib, kib, "", []string{"app:0", "app:1", "app:2", "app:3"}}, // there is room
		{4*one + 4*kib, 5 * kib, "", []string{"app:0", "app:2", "app:3"}},      // one less is below 90 %
		{3*one - 1, 0, images[3].Manifest.Digest, []string{"app:2", "app:3"}},
		{2*one - 1, 0, "", []string{"app:2"}},
		{one / 2, 0, images[2].Manifest.Digest, []string{"app:2"}}, // larger than the limit, and in use
		{one / 2, 0, "", nil},
	} {
		makeRoom(t, c, step.limit, step.bytes, step.keep)
		if got := names(t, c); !slices.Equal(got, step.want) {
			t.Errorf("limit %d, %d bytes more: %q are left, want %q", step.limit, step.bytes, got, step.want)
		}
	}
	for _, dir := range []string{c.namesDir(), c.blobsDir()} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s has %v, %v", dir, left, err)
		}
	}
	if x, err := c.scan(t.Context()); err != nil || len(x.blobs) > 0 {
		t.Errorf("%d records are left, %v", len(x.blobs), err)
	}
}

// Room goes down to 90 % of the limit, so that the next blob does not cause an eviction;
// Prune goes down to the limit.
func TestEvictionLeavesRoom(t *testing.T) {
	t.Parallel()
	c := New(t.TempDir(), DefaultLimit)
	for i := range 20 {
		img := newImage(uint64(i), 20*kib)
		putImage(t, c, fmt.Sprintf("app:%d", i), img)
		use(t, c, 100-i, img)
	}
	limit := listedSize(t, c) - 1
	if done, err := New(c.Dir(), limit).Prune(t.Context(), time.Time{}); err != nil || done.Images != 1 || len(names(t, c)) != 19 {
		t.Errorf("pruned %+v, %v", done, err)
	}
	makeRoom(t, c, limit, 25*kib, "")
	if got := len(names(t, c)); got != 16 {
		t.Errorf("%d of 20 images are left, want 16", got)
	}
}

// Prune evicts what is older than a time, however small the cache is, and keeps a blob that
// a younger image needs.
func TestPruneByAge(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	old, young := newImage(1, 10*kib), newImage(2, 10*kib)
	putImage(t, c, "old:1", old)
	putImage(t, c, "young:1", young)
	use(t, c, 50, old)
	use(t, c, 5, young)
	prune := func(minutes int, want ...string) {
		t.Helper()
		_, err := c.Prune(t.Context(), time.Now().Add(-time.Duration(minutes)*time.Minute))
		if got := names(t, c); err != nil || !slices.Equal(got, want) {
			t.Errorf("older than %d minutes: %q are left, want %q, %v", minutes, got, want, err)
		}
	}
	prune(60, "old:1", "young:1")
	prune(10, "young:1")
	if !has(t, c, young.Manifest) || has(t, c, old.Manifest) {
		t.Error("the blobs of the wrong image were evicted")
	}
	prune(0)
}

// The cache leaves 5 % of its file system free, or 10 GiB of a large one, whatever its
// limit is.
func TestEvictionLeavesTheDiskRoom(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	var images []registrytest.Image
	for i := range 4 {
		images = append(images, newImage(uint64(i), 200*kib))
		putImage(t, c, fmt.Sprintf("app:%d", i), images[i])
		use(t, c, 9-i, images[i])
	}
	one := sizeOf(images[0])
	const gib = 1 << 30
	for _, step := range []struct {
		about              string
		total, free, bytes int64
		keep               digest.Digest
		left               int
	}{
		{"nothing is known", 0, 0, gib, "", 4},
		{"there is room", 100 * mib, 5*mib + kib, kib, "", 4},
		{"for one blob more", 100 * mib, 5*mib + kib, 2 * kib, "", 3},
		{"a large disk", 1000 * gib, 10 * gib, 0, "", 3},
		{"a large disk is full", 1000 * gib, 10*gib - one - kib, 0, images[1].Manifest.Digest, 1},
		{"others have filled it", 100 * mib, 0, 0, images[1].Manifest.Digest, 1},
		{"others have filled it, and no pull runs", 100 * mib, 0, 0, "", 0},
	} {
		c.space = func(path string) (free, total int64, known bool) {
			return step.free, step.total, step.total > 0 && path == c.Dir()
		}
		_, err := c.Room(t.Context(), step.bytes, step.keep)
		if got := len(names(t, c)); err != nil || got != step.left {
			t.Errorf("%s: %d images are left, want %d, %v", step.about, got, step.left, err)
		}
	}
}

func TestASharedBlobStays(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	old := newImage(1, 200*kib, 90*kib)
	other := newImage(1, 200*kib, 100*kib) // has the same first layer
	if old.Layers[0].Digest != other.Layers[0].Digest {
		t.Fatal("the images share no layer")
	}
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 1, Layers: []int64{200 * kib}, Platform: "linux/arm64"})
	index := registrytest.NewIndex(arm)
	putImage(t, c, "old:1", old)
	putImage(t, c, "old:2", old) // another name for it
	putImage(t, c, "other:1", other)
	putImage(t, c, "index:1", index)
	use(t, c, 9, old)
	use(t, c, 5, other)

	makeRoom(t, c, listedSize(t, c)-1, 0, "")
	if got := names(t, c); !slices.Equal(got, []string{"index:1", "other:1"}) {
		t.Errorf("%q are left", got)
	}
	if has(t, c, old.Layers[1]) || has(t, c, old.Manifest) {
		t.Error("what only the evicted image has is here")
	}
	makeRoom(t, c, listedSize(t, c)-1, 0, "")
	if got := names(t, c); !slices.Equal(got, []string{"index:1"}) || !has(t, c, arm.Layers[0]) {
		t.Errorf("%q are left, and the shared layer is here: %t", got, has(t, c, arm.Layers[0]))
	}
}

// Blobs without an image, images without a name, and what a kill left of a blob go by
// their own age.
func TestWhatHasNoNameIsEvicted(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	named, nameless, orphan, killed := newImage(1, 100*kib), newImage(2, 100*kib), newImage(3, 100*kib), newImage(4, 100*kib)
	putImage(t, c, "app:1", named)
	putImage(t, c, "", nameless)
	must(t, put(t.Context(), c, orphan.Layers[0]))
	p, err := c.Begin(t.Context(), killed.Layers[0].Descriptor, []string{"mirror"}, 0)
	must(t, err)
	must(t, p.Store().Write(0, 0, bytesOf(killed.Layers[0]), 0))

	use(t, c, 8, nameless)
	at := time.Now().Add(-7 * time.Minute)
	must(t, os.Chtimes(c.recordPath(orphan.Layers[0].Digest), at, at))
	makeRoom(t, c, sizeOf(named), 0, named.Manifest.Digest)
	if has(t, c, nameless.Manifest) || has(t, c, orphan.Layers[0]) {
		t.Error("an image without a name or a blob without an image is here")
	}
	if c.Arrived(killed.Layers[0].Digest) == 0 {
		t.Error("a blob in flight was evicted")
	}
	must(t, p.Close())
	if _, err := New(c.Dir(), 1).Room(t.Context(), 0, named.Manifest.Digest); err != nil || c.Arrived(killed.Layers[0].Digest) > 0 {
		t.Errorf("what a kill left is here, %v", err)
	}
	if got := names(t, c); !slices.Equal(got, []string{"app:1"}) {
		t.Errorf("%q are left", got)
	}
}

func TestAnEvictedBlobStaysReadable(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1, 100*kib)
	putImage(t, c, "app:1", img)
	f, err := c.Open(t.Context(), img.Layers[0].Digest)
	must(t, err)
	defer f.Close()
	makeRoom(t, c, 0, 0, "")
	if right, err := isRight(t.Context(), f, img.Layers[0].Digest); !right || err != nil {
		t.Errorf("it is right: %t, %v", right, err)
	}
}

// While a manifest is put, no eviction takes its blobs: both wait for one lock.
func TestEvictionWaitsForTheLock(t *testing.T) {
	c := New(t.TempDir(), 0)
	putImage(t, c, "app:1", newImage(1))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	must(t, c.change(t.Context(), func() error {
		if _, err := c.Room(ctx, 0, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Room() = %v while another change runs", err)
		}
		return nil
	}))
}

// What others put into the directory is left alone.
func TestOtherFilesAreIgnored(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1)
	putImage(t, c, "app:1", img)
	for _, name := range []string{"blobs/sha256/README", "blobs/sha256/" + digest.FromString("x").Encoded() + "/x", "names/x", "records/x/y", "parts/x"} {
		path := filepath.Join(c.Dir(), filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	if l, err := c.List(t.Context()); err != nil || len(l.Blobs) != 3 {
		t.Errorf("%+v, %v", l, err)
	}
	if v, err := c.Verify(t.Context()); err != nil || v.Blobs != 3 || len(v.Damaged) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := New(c.Dir(), 0).Room(t.Context(), 0, ""); err != nil {
		t.Error(err)
	}
}

// A process that asks for room before each image never exceeds the limit, however much it
// asks for.
func TestRoomIsCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const limit = 200 * kib
	c := New(dir, limit)
	for i := range 40 {
		img := newImage(uint64(i), 10*kib)
		_, err := c.Room(t.Context(), sizeOf(img), "")
		must(t, err)
		putImage(t, c, fmt.Sprintf("app:%d", i), img)
		use(t, c, 100-i, img)
		if size := listedSize(t, c); size > limit {
			t.Fatalf("after %d images, the cache has %d bytes, over its limit of %d", i+1, size, limit)
		}
	}
	if got := names(t, c); !slices.Contains(got, "app:39") || slices.Contains(got, "app:0") {
		t.Errorf("%q are left", got)
	}
}

// What other processes add is noticed after a minute.
func TestRoomLooksAgainAfterAMinute(t *testing.T) {
	dir := t.TempDir()
	img := newImage(1, 10*kib)
	synctest.Test(t, func(t *testing.T) {
		c := New(dir, sizeOf(img)-1)
		_, err := c.Room(t.Context(), 0, "")
		must(t, err)
		putImage(t, New(dir, DefaultLimit), "app:1", img)
		time.Sleep(sizeValid - 1)
		if done, err := c.Room(t.Context(), 0, ""); err != nil || done.Images != 0 {
			t.Errorf("within a minute: %+v, %v", done, err)
		}
		time.Sleep(time.Nanosecond)
		if done, err := c.Room(t.Context(), 0, ""); err != nil || done.Images != 1 {
			t.Errorf("after a minute: %+v, %v", done, err)
		}
	})
}
