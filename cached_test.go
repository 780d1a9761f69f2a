package segpull_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestASecondPullAsksOnlyForTheTag(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib, 64*kib)
	m := pulltest.Serve(t, 1, registrytest.NewIndex(img)) // of several, each is asked for the config
	for _, format := range []string{"docker-archive", "legacy", "oci", "oci-archive"} {
		opts := segpull.Options{Format: format, CacheDir: filepath.Join(t.TempDir(), "cache")}
		plain := m.MustPull(t, segpull.Options{Format: format, Output: filepath.Join(t.TempDir(), "app")})
		opts.Output = filepath.Join(t.TempDir(), "first")
		first := m.MustPull(t, opts)
		m.Servers[0].ResetStats()
		opts.Output = filepath.Join(t.TempDir(), "second")
		second := m.MustPull(t, opts)
		for _, r := range []segpull.Result{first, second} {
			if strings.HasSuffix(format, "archive") && !bytes.Equal(pulltest.ReadFile(t, r.Path), pulltest.ReadFile(t, plain.Path)) {
				t.Errorf("%s: the archive differs from one without a cache", format)
			}
			if format != "legacy" {
				pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
			}
			pulltest.WantFiles(t, filepath.Dir(r.Path), filepath.Base(r.Path))
		}
		if first.Fetched != first.Size || first.Resumed != 0 || second.Fetched != 0 || second.Resumed != second.Size {
			t.Errorf("%s: %+v, then %+v", format, first, second)
		}
		for _, r := range m.Servers[0].Stats().Log {
			if r.Reference != "1" {
				t.Errorf("%s: the second pull asked for %s %s", format, r.Method, r.Path)
			}
		}
	}
}

// A digest that the cache has needs no mirror.
func TestAPullByDigestFromTheCacheAsksNobody(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 64*kib)
	m := pulltest.Serve(t, 1, img)
	opts := segpull.Options{CacheDir: t.TempDir()}
	m.MustPull(t, opts)
	m.Servers[0].ResetStats()
	if _, err := m.Pull(t, opts, "registry.example/team/app@"+img.Manifest.Digest.String()); err != nil {
		t.Fatal(err)
	}
	if log := m.Servers[0].Stats().Log; len(log) > 0 {
		t.Errorf("it asked for %s", log[0].Path)
	}
}

func TestADamagedBlobInTheCacheIsFetchedAgain(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib, 200*kib)
	m := pulltest.Serve(t, 1, img)
	opts := segpull.Options{CacheDir: t.TempDir()}
	m.MustPull(t, opts)
	path := filepath.Join(opts.CacheDir, "blobs", "sha256", img.Layers[0].Digest.Encoded())
	info := pulltest.Stat(t, path)
	body := pulltest.ReadFile(t, path)
	body[100_000] ^= 1
	pulltest.Must(t, os.WriteFile(path, body, 0o600))
	pulltest.Must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))

	rec := &pulltest.Recorder{}
	opts.Observer = rec
	r := m.MustPull(t, opts)
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
	if r.Fetched != img.Layers[0].Size {
		t.Errorf("%d bytes were fetched, want those of the layer, %d", r.Fetched, img.Layers[0].Size)
	}
	if got := rec.Warnings(); !strings.Contains(got, img.Layers[0].Digest.String()) || !strings.Contains(got, "damaged") {
		t.Errorf("warned of %q", got)
	}
	if digest.FromBytes(pulltest.ReadFile(t, path)) != img.Layers[0].Digest {
		t.Error("the blob in the cache is still damaged")
	}
}

func TestPullsAtTheSameTimeShareEachBlob(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 3*mib, 2*mib, mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Throttle(8 * mib)
	opts := segpull.Options{CacheDir: t.TempDir()}
	var pulls sync.WaitGroup
	for i := range 3 {
		opts := opts
		opts.Output = filepath.Join(t.TempDir(), fmt.Sprint(i))
		pulls.Go(func() {
			r, err := m.Pull(t, opts)
			if err != nil {
				t.Error(err)
				return
			}
			pulltest.CheckOCI(t, pulltest.Contents(t, r[0].Path), img)
			if got := r[0].Resumed + r[0].Fetched - r[0].FetchedTwice; got != r[0].Size {
				t.Errorf("%d bytes were resumed or fetched, of %d: %+v", got, r[0].Size, r[0])
			}
		})
	}
	pulls.Wait()
	// Each reads the config for the platform.
	if served, most := m.ServedBesides(img), pulltest.BlobsOf(img)*103/100; served > most {
		t.Errorf("%d bytes were served, want at most %d", served, most)
	}
}

// What has arrived is used by another pull: for another output, by another mirror.
func TestAnInterruptedPullContinuesInTheCache(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib)
	m := pulltest.Serve(t, 1, img)
	other := pulltest.Serve(t, 1, img)
	opts := segpull.Options{CacheDir: t.TempDir(), Output: filepath.Join(t.TempDir(), "first")}
	m.Servers[0].Throttle(4 * mib)
	ctx, rec, _ := pulltest.CancelAt(3 * mib)
	opts.Observer = rec
	if _, err := m.PullContext(ctx, t, opts); err == nil {
		t.Fatal("it was not interrupted")
	}
	pulltest.WantFiles(t, filepath.Dir(opts.Output))
	opts.Output, opts.Observer = filepath.Join(t.TempDir(), "second"), nil
	r := other.MustPull(t, opts)
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
	if r.Resumed < 3*mib || r.Fetched > 3*mib+slack {
		t.Errorf("%d bytes were resumed and %d fetched", r.Resumed, r.Fetched)
	}
}

func TestWhatAPullWithoutTheCacheLeftIsUsed(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib)
	m := pulltest.Serve(t, 1, img)
	dir, done := pulltest.Interrupted(t, m, "1")
	out := strings.TrimSuffix(dir, ".segpull")
	r := m.MustPull(t, segpull.Options{CacheDir: t.TempDir(), Output: out})
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
	if r.Resumed < done || r.Fetched > pulltest.BlobsOf(img)-done+slack {
		t.Errorf("%d bytes were there, %d resumed and %d fetched", done, r.Resumed, r.Fetched)
	}
	pulltest.WantFiles(t, filepath.Dir(out), filepath.Base(out))
}

func TestAnImageLargerThanTheCacheIsNotKept(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 1, img)
	rec := &pulltest.Recorder{}
	opts := segpull.Options{CacheDir: t.TempDir(), CacheSize: 100 * kib, Observer: rec}
	r := m.MustPull(t, opts)
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
	l, err := cache.New(opts.CacheDir, 0).List(t.Context())
	pulltest.Must(t, err)
	if l.Size > 0 || len(l.Images) > 0 {
		t.Errorf("the cache has %+v", l)
	}
	if got := rec.Warnings(); !strings.Contains(got, "--cache-size") {
		t.Errorf("warned of %q", got)
	}
	_, err = m.Pull(t, segpull.Options{CacheDir: t.TempDir(), CacheSize: -1})
	pulltest.WantError(t, err, segpull.ErrUsage, "CacheSize")
}

// Corrupt sources are found as without a cache, and leave nothing in it.
func TestNothingWrongReachesTheCache(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Misbehave(registrytest.Flip(1000, 1001).Of(img.Layers[0].Digest))
	opts := segpull.Options{CacheDir: t.TempDir()}
	_, err := m.Pull(t, segpull.Options{CacheDir: opts.CacheDir, Mirrors: m.URLs[:1]})
	pulltest.WantError(t, err, segpull.ErrMismatch, m.Name(0))
	c := cache.New(opts.CacheDir, cache.DefaultLimit)
	if n := c.Arrived(img.Layers[0].Digest); n > 0 {
		t.Errorf("%d bytes of the corrupt mirror stay", n)
	}
	r := m.MustPull(t, opts)
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)
	if v, err := c.Verify(t.Context()); err != nil || len(v.Damaged) > 0 || v.Blobs != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}

// Images with more layers than are fetched at once, and with several platforms.
func TestManyImagesIntoOneCache(t *testing.T) {
	t.Parallel()
	var sizes []int64
	for i := range 40 {
		sizes = append(sizes, int64(4+i)*kib)
	}
	one, two := pulltest.ImageOf(1, sizes...), pulltest.ImageOf(1, sizes[:30]...)
	m := pulltest.Serve(t, 2, one)
	m.Servers[0].Push(repo, "2", two)
	m.Servers[0].Throttle(mib)
	m.Servers[1].Throttle(mib)
	opts := segpull.Options{CacheDir: t.TempDir(), Output: t.TempDir()}
	most, began := 0, time.Time{}
	opts.Observer = &pulltest.Recorder{Hook: func(e segpull.Event) {
		if _, ok := e.(segpull.Resolved); ok && began.IsZero() {
			began = time.Now()
		}
		parts, _ := os.ReadDir(filepath.Join(opts.CacheDir, "parts"))
		most = max(most, len(parts))
	}}
	results, err := m.Pull(t, opts, ref, strings.TrimSuffix(ref, "1")+"2")
	pulltest.Must(t, err)
	pulltest.CheckOCI(t, pulltest.Contents(t, results[0].Path), one)
	pulltest.CheckOCI(t, pulltest.Contents(t, results[1].Path), two)
	first, second := nameIn(t, opts.CacheDir, "1"), nameIn(t, opts.CacheDir, "2")
	// Both tags were resolved before the first image was fetched.
	if first.Source != m.Name(0) || second.Digest != two.Manifest.Digest || second.Checked.After(began) {
		t.Errorf("%+v and %+v; the first fetch began at %v", first, second, began)
	}
	if most < 2 || most > 16 {
		t.Errorf("%d blobs were fetched at once, want at most 16", most)
	}
	// Each mirror is asked for the config.
	if got, want := results[1].Fetched, 2*two.Config.Size; got > want {
		t.Errorf("the second image, which shares its layers, fetched %d bytes, want %d", got, want)
	}
	l, err := cache.New(opts.CacheDir, 0).List(t.Context())
	pulltest.Must(t, err)
	if len(l.Images) != 2 || !l.Images[0].Complete || !l.Images[1].Complete {
		t.Errorf("the cache has %+v", l.Images)
	}
}

func nameIn(t *testing.T, dir, tag string) cache.Name {
	t.Helper()
	n, err := cache.New(dir, 0).Name(image.Reference{Registry: "registry.example", Repository: repo, Tag: tag})
	pulltest.Must(t, err)
	return n
}

// A manifest that gives a blob another size cannot remove it from the cache.
func TestAManifestWithAnotherSizeHarmsNoBlob(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 64*kib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Push(repo, "2", registrytest.NewImage(registrytest.ImageOptions{
		Seed: 1, Layers: []int64{64 * kib}, Platform: "linux/amd64",
		EditManifest: func(m *ocispec.Manifest) { m.Layers[0].Size++ },
	}))
	opts := segpull.Options{CacheDir: t.TempDir()}
	m.MustPull(t, opts)
	_, err := m.Pull(t, opts, strings.TrimSuffix(ref, "1")+"2")
	pulltest.WantError(t, err, segpull.ErrMismatch, img.Layers[0].Digest.String(), "65537")
	f, err := cache.New(opts.CacheDir, 0).Open(t.Context(), img.Layers[0].Digest)
	pulltest.Must(t, err)
	f.Close()
}
