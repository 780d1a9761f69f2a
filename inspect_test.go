package segpull_test

import (
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// inspect inspects Ref for linux/amd64.
func inspect(t *testing.T, m *pulltest.Mirrors, opts segpull.Options) segpull.Inspection {
	t.Helper()
	opts.Mirrors, opts.Platform = m.URLs, "linux/amd64"
	i, err := segpull.Inspect(t.Context(), ref, opts)
	pulltest.Must(t, err)
	sum := i.ToFetch
	for _, l := range i.Layers {
		sum -= l.ToFetch
	}
	if sum < 0 || sum > 10*kib { // the config
		t.Errorf("%d bytes to fetch besides the layers: %+v", sum, i)
	}
	return i
}

func TestInspectDescribesTheImage(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib, 20*kib)
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm/v6"})
	index := registrytest.NewIndex(img, arm)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Push(repo, "1", index)
	i := inspect(t, m, segpull.Options{Output: t.TempDir()})
	if i.Reference != ref || i.Digest != index.Manifest.Digest.String() || i.MediaType != ocispec.MediaTypeImageIndex ||
		i.Platform != "linux/amd64" || i.Manifest != img.Manifest.Digest.String() || i.ImageID != img.Config.Digest.String() ||
		i.Size != pulltest.BlobsOf(img) || i.ToFetch != i.Size {
		t.Errorf("%+v", i)
	}
	want := []segpull.PlatformImage{
		{"linux/amd64", img.Manifest.Digest.String(), img.Manifest.Size},
		{"linux/arm/v6", arm.Manifest.Digest.String(), arm.Manifest.Size},
	}
	if len(i.Platforms) != 2 || i.Platforms[0] != want[0] || i.Platforms[1] != want[1] {
		t.Errorf("platforms %+v, want %+v", i.Platforms, want)
	}
	for n, l := range i.Layers {
		b := img.Layers[n]
		if l.Digest != b.Digest.String() || l.Size != b.Size || l.ToFetch != b.Size || l.MediaType != b.MediaType {
			t.Errorf("layer %d: %+v, want %+v", n, l, b)
		}
	}
}

// A manifest without an index has one platform, that of its config.
func TestInspectOfAManifest(t *testing.T) {
	t.Parallel()
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64", Layers: []int64{10 * kib, 10 * kib}, EditManifest: func(m *ocispec.Manifest) {
		m.Layers[1] = m.Layers[0]
	}})
	m := pulltest.Serve(t, 1, arm)
	i := inspect(t, m, segpull.Options{Output: t.TempDir()})
	if len(i.Platforms) != 1 || i.Platforms[0] != (segpull.PlatformImage{Platform: "linux/arm64", Digest: i.Digest, Size: arm.Manifest.Size}) || i.Manifest != i.Digest {
		t.Errorf("%+v", i)
	}
	if len(i.Layers) != 2 || i.Size > 20*kib || i.ToFetch != i.Size || i.Layers[0].ToFetch == 0 || i.Layers[1].ToFetch != 0 {
		t.Errorf("a layer that occurs twice: %+v", i)
	}
}

func TestInspectCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 700*kib, 300*kib)
	m := pulltest.Serve(t, 1, img)
	full := pulltest.BlobsOf(img)
	want := func(what string, opts segpull.Options, bytes int64) {
		t.Helper()
		m.Servers[0].ResetStats()
		if i := inspect(t, m, opts); i.ToFetch != bytes {
			t.Errorf("%s: %d bytes to fetch, want %d", what, i.ToFetch, bytes)
		}
		if n := m.ServedBesides(img); n != 0 {
			t.Errorf("%s: %d bytes of layers were fetched", what, n)
		}
	}

	out := filepath.Join(t.TempDir(), "app.tar")
	want("nothing", segpull.Options{Output: out}, full)
	m.MustPull(t, segpull.Options{Output: out})
	want("the archive", segpull.Options{Output: out}, 0)
	want("another name", segpull.Options{Output: out + "2"}, full)
	archive := pulltest.ReadFile(t, out)
	archive[len(archive)/2] ^= 1
	pulltest.Must(t, os.WriteFile(out, archive, 0o600))
	want("a damaged archive", segpull.Options{Output: out}, full)

	cached := segpull.Options{CacheDir: t.TempDir(), Output: filepath.Join(t.TempDir(), "app.tar")}
	m.MustPull(t, cached)
	cached.Output += "2"
	want("the cache", cached, 0)

	layout := segpull.Options{Format: "oci", Output: filepath.Join(t.TempDir(), "layout")}
	want("no layout", layout, full)
	if _, err := os.Stat(layout.Output); err == nil {
		t.Error("inspect has made a directory")
	}
	m.MustPull(t, layout)
	want("a layout", layout, 0)
}

func TestInspectCountsPartFiles(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 1, img)
	for _, cache := range []string{"", t.TempDir()} {
		out := filepath.Join(t.TempDir(), "app.tar")
		opts := segpull.Options{Output: out, CacheDir: cache}
		m.Servers[0].Throttle(mib)
		ctx, rec, _ := pulltest.CancelAt(mib / 2)
		interrupted := opts
		interrupted.Observer = rec
		if _, err := m.PullContext(ctx, t, interrupted); err == nil {
			t.Fatal("the pull was not interrupted")
		}
		if i := inspect(t, m, opts); i.ToFetch > 2*mib-mib/2+10*kib || i.ToFetch < mib/2 || i.Layers[0].ToFetch > 2*mib-mib/2 {
			t.Errorf("cache %q: %+v", cache, i)
		}
	}
}

func TestInspectFails(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 10*kib))
	opts := segpull.Options{Mirrors: m.URLs, Platform: "linux/amd64"}
	_, err := segpull.Inspect(t.Context(), "registry.example/none:1", opts)
	pulltest.WantError(t, err, segpull.ErrNotFound, "none:1")
	_, err = segpull.Inspect(t.Context(), "a:b:c", opts)
	pulltest.WantError(t, err, segpull.ErrUsage, "a:b:c")
}
