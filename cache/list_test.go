package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestListSaysWhatIsComplete(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	img, part := newImage(1, 50*kib), newImage(2, 60*kib)
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 3, Layers: []int64{30 * kib}, Platform: "linux/arm64"})
	index := registrytest.NewIndex(img, arm)
	putImage(t, c, "app:1", img)
	for name, img := range map[string]registrytest.Image{"index:1": index, "part:1": part} {
		_, err := c.PutManifest(t.Context(), img.Manifest.MediaType, bytesOf(img.Manifest))
		must(t, err)
		must(t, c.SetName(t.Context(), nameOf(t, name, img)))
	}
	must(t, c.SetName(t.Context(), nameOf(t, "lost:1", arm)))
	if got, want := names(t, c), []string{"app:1", "index:1", "lost:1 incomplete", "part:1 incomplete"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	l, err := c.List(t.Context())
	must(t, err)
	if got, want := l.Images[1].Size, sizeOf(img)+index.Manifest.Size; got != want {
		t.Errorf("the index has %d bytes, want %d", got, want)
	}
	must(t, os.Remove(c.blobPath(img.Layers[0].Digest)))
	if got := names(t, c); got[1] != "index:1 incomplete" {
		t.Errorf("%q without a layer", got)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	c := New(dir, DefaultLimit)
	l, err := c.List(t.Context())
	must(t, err)
	v, err := c.Verify(t.Context())
	must(t, err)
	if got := string(encode([]any{l, v})); got != `[{"size":0,"unfinished":0,"blobs":[],"images":[]},{"blobs":0,"bytes":0,"damaged":[]}]` {
		t.Error(got)
	}
	if _, err := c.Room(t.Context(), 0, ""); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading created the cache: %v", err)
	}
}

func TestExport(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	img, other := newImage(1, 50*kib), newImage(2, 60*kib)
	index := registrytest.NewIndex(other)
	list := registrytest.NewBlob(image.MediaTypeDockerList, []byte(strings.Replace(string(bytesOf(index.Manifest)), ocispec.MediaTypeImageIndex, image.MediaTypeDockerList, 1)))
	putImage(t, c, "app:1", img)
	putImage(t, c, "app:2", img)
	putImage(t, c, "", other)
	docker := registrytest.NewImage(registrytest.ImageOptions{Seed: 4, Docker: true})
	putImage(t, c, "docker:4", docker)
	_, err := c.PutManifest(t.Context(), "", bytesOf(list))
	must(t, err)
	must(t, c.SetName(t.Context(), nameOf(t, "list:3", registrytest.Image{Manifest: list})))
	must(t, c.SetName(t.Context(), nameOf(t, "lost:1", newImage(9))))

	dir := filepath.Join(t.TempDir(), "layout")
	added, incomplete, err := c.Export(t.Context(), dir)
	if err != nil || added != 4 || len(incomplete) != 1 || incomplete[0].key() != "docker.io/library/lost:1" {
		t.Errorf("%d added, %+v are not complete, %v", added, incomplete, err)
	}
	var layout ocispec.Index
	body, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	must(t, json.Unmarshal(body, &layout))
	var got []string
	for _, m := range layout.Manifests {
		got = append(got, m.Annotations[ocispec.AnnotationRefName]+" "+m.MediaType)
		if exported, err := os.ReadFile(filepath.Join(dir, "blobs/sha256", m.Digest.Encoded())); err != nil || digest.FromBytes(exported) != m.Digest {
			t.Errorf("%s: %v", m.Digest, err)
		}
	}
	slices.Sort(got)
	want := []string{"1 " + ocispec.MediaTypeImageManifest, "2 " + ocispec.MediaTypeImageManifest, "3 " + ocispec.MediaTypeImageIndex, "4 " + ocispec.MediaTypeImageIndex}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}

	for _, b := range []registrytest.Blob{img.Layers[0], other.Manifest, docker.Manifest} {
		if _, err := os.Stat(filepath.Join(dir, "blobs/sha256", b.Digest.Encoded())); err != nil {
			t.Error(err)
		}
	}

	quietly(t, c.blobPath(img.Layers[0].Digest))
	if _, _, err := c.Export(t.Context(), filepath.Join(t.TempDir(), "other")); err == nil || !strings.Contains(err.Error(), "pull the image again") {
		t.Errorf("export of a damaged blob: %v", err)
	}
	if has(t, c, img.Layers[0]) {
		t.Error("the damaged blob is still here")
	}
}

// fill makes a cache of so many images of ten blobs, without writing through disks.
func fill(t testing.TB, c *Cache, images int) (last digest.Digest) {
	t.Helper()
	for i := range images {
		var layers []string
		for k := range 9 {
			body := fmt.Appendf(nil, "layer %d of %d", k, i)
			d := digest.FromBytes(body)
			layers = append(layers, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, ocispec.MediaTypeImageLayer, d, len(body)))
			must(t, os.MkdirAll(c.blobsDir(), 0o700))
			must(t, os.WriteFile(c.blobPath(d), body, 0o600))
			info, err := os.Stat(c.blobPath(d))
			must(t, err)
			must(t, c.writeRecord(d, record{ocispec.MediaTypeImageLayer, info.Size(), info.ModTime().UnixNano(), nil}))
			last = d
		}
		m, err := c.PutManifest(t.Context(), ocispec.MediaTypeImageManifest, []byte(`{"config":`+layers[0]+`,"layers":[`+strings.Join(layers, ",")+`]}`))
		must(t, err)
		must(t, c.SetName(t.Context(), Name{"docker.io", fmt.Sprintf("library/app%d", i), "1", m.Digest, time.Now(), "mirror"}))
	}
	return last
}

// Ten thousand blobs: a look-up takes as long as with few, and a list under a second.
func BenchmarkTenThousandBlobs(b *testing.B) {
	for _, images := range []int{10, 1000} {
		c := New(b.TempDir(), DefaultLimit)
		last := fill(b, c, images)
		b.Run(fmt.Sprintf("%d/open", 10*images), func(b *testing.B) {
			for b.Loop() {
				f, err := c.Open(b.Context(), last)
				must(b, err)
				f.Close()
			}
		})
		b.Run(fmt.Sprintf("%d/list", 10*images), func(b *testing.B) {
			for b.Loop() {
				_, err := c.List(b.Context())
				must(b, err)
			}
		})
		b.Run(fmt.Sprintf("%d/room", 10*images), func(b *testing.B) {
			for b.Loop() {
				_, err := c.Room(b.Context(), 0, "")
				must(b, err)
			}
		})
	}
}

// A list takes time in proportion to the blobs, and so does Room where it reads the directory: what is done for each
// blob does not depend on how many there are.
func TestTenTimesTheBlobsTakeTenTimesAsLong(t *testing.T) {
	uses := map[string]func(*Cache) error{
		"list": func(c *Cache) error { _, err := c.List(t.Context()); return err },
		"room": func(c *Cache) error { _, err := c.Room(t.Context(), 1, ""); return err },
	}
	few, many := New(t.TempDir(), DefaultLimit), New(t.TempDir(), DefaultLimit)
	fill(t, few, 2)
	fill(t, many, 20)
	for what, use := range uses {
		allocations := func(c *Cache) float64 {
			return testing.AllocsPerRun(5, func() { must(t, use(New(c.Dir(), DefaultLimit))) })
		}
		if one, ten := allocations(few), allocations(many); ten < 5*one || ten > 12*one {
			t.Errorf("%s: %.0f allocations with 20 blobs, %.0f with 200", what, one, ten)
		}
	}
}

// What a server does for each request reads no directory, so it takes as long with many blobs
// as with few. Room does so while much is left.
func TestNothingReadsTheDirectoryForARequest(t *testing.T) {
	few, many := allocations(t, 1), allocations(t, 20)
	for what, n := range few {
		if n == 0 || many[what] > n {
			t.Errorf("%s: %.0f allocations with 10 blobs, %.0f with 200", what, n, many[what])
		}
	}
}

// allocations are those of each use of a cache with so many images of ten blobs.
func allocations(t *testing.T, images int) map[string]float64 {
	c := New(t.TempDir(), DefaultLimit)
	last := fill(t, c, images)
	counts := make(map[string]float64)
	for what, do := range map[string]func() error{
		"new":      func() error { return New(c.Dir(), DefaultLimit).change(t.Context(), func() error { return nil }) },
		"open":     func() error { f, err := c.Open(t.Context(), last); f.Close(); return err },
		"describe": func() error { _, err := c.Describe(last); return err },
		"room":     func() error { _, err := c.Room(t.Context(), 1, ""); return err },
	} {
		counts[what] = testing.AllocsPerRun(20, func() { must(t, do()) })
	}
	return counts
}
