package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		return
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bytesOf(b registrytest.Blob) []byte {
	body, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size))
	if err != nil {
		panic(err)
	}
	return body
}

// put puts a blob into the cache, as a transfer does.
func put(ctx context.Context, c *Cache, b registrytest.Blob) error {
	p, err := c.Begin(ctx, b.Descriptor, []string{"mirror"}, 0)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Store().Write(0, 0, bytesOf(b), 0); err != nil {
		return err
	}
	return p.Commit(ctx)
}

// putImage puts an image into the cache under docker.io/NAME.
func putImage(t testing.TB, c *Cache, name string, img registrytest.Image) {
	t.Helper()
	_, err := c.PutManifest(t.Context(), img.Manifest.MediaType, bytesOf(img.Manifest))
	must(t, err)
	for _, child := range img.Images {
		putImage(t, c, "", child)
	}
	for _, b := range append(img.Layers, img.Config) {
		if b.ReaderAt != nil { // an index has no config
			must(t, put(t.Context(), c, b))
		}
	}
	if name != "" {
		must(t, c.SetName(t.Context(), nameOf(t, name, img)))
	}
}

func nameOf(t testing.TB, name string, img registrytest.Image) Name {
	t.Helper()
	ref, err := image.ParseReference(name)
	must(t, err)
	return Name{ref.Registry, ref.Repository, ref.Tag, img.Manifest.Digest, time.Unix(1_700_000_000, 0).UTC(), "mirror"}
}

// use makes an image the one that was used so many minutes ago.
func use(t testing.TB, c *Cache, minutes int, img registrytest.Image) {
	t.Helper()
	at := time.Now().Add(-time.Duration(minutes) * time.Minute)
	must(t, os.Chtimes(c.recordPath(img.Manifest.Digest), at, at))
}

func newImage(seed uint64, layers ...int64) registrytest.Image {
	return registrytest.NewImage(registrytest.ImageOptions{Seed: seed, Layers: layers, Platform: "linux/amd64"})
}

func has(t testing.TB, c *Cache, b registrytest.Blob) bool {
	t.Helper()
	f, err := c.Open(t.Context(), b.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	must(t, err)
	defer f.Close()
	got, err := io.ReadAll(f)
	must(t, err)
	if !bytes.Equal(got, bytesOf(b)) {
		t.Errorf("%s has wrong bytes", b.Digest)
	}
	return true
}

// names returns the images as ls shows them.
func names(t testing.TB, c *Cache) (all []string) {
	t.Helper()
	l, err := c.List(t.Context())
	must(t, err)
	for _, i := range l.Images {
		state := ""
		if !i.Complete {
			state = " incomplete"
		}
		all = append(all, strings.TrimPrefix(i.key(), "docker.io/library/")+state)
	}
	return all
}

func TestABlobIsThereWholeAndWithItsName(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "new", "cache"), DefaultLimit)
	img := newImage(1, 300*kib)
	if has(t, c, img.Config) || has(t, c, img.Manifest) {
		t.Error("an empty cache has blobs")
	}
	putImage(t, c, "app:1", img)
	got, err := os.ReadFile(filepath.Join(c.Dir(), "blobs", "sha256", img.Layers[0].Digest.Encoded()))
	if err != nil || !bytes.Equal(got, bytesOf(img.Layers[0])) {
		t.Errorf("the file of the layer: %v", err)
	}
	d, body, err := c.Manifest(t.Context(), img.Manifest.Digest)
	if err != nil || d.MediaType != img.Manifest.MediaType || d.Size != img.Manifest.Size || !bytes.Equal(body, bytesOf(img.Manifest)) {
		t.Errorf("manifest %+v, %v", d, err)
	}
	want := nameOf(t, "app:1", img)
	if n, err := c.Name(want.reference()); err != nil || n != want {
		t.Errorf("name %+v, %v", n, err)
	}
	left, err := os.ReadDir(c.partsDir())
	if err != nil || len(left) > 0 {
		t.Errorf("parts %v, %v", left, err)
	}
	if l, err := c.List(t.Context()); err != nil || len(l.Blobs) != 3 || l.Size != img.Layers[0].Size+img.Config.Size+img.Manifest.Size {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestASizeIsKnownBeforeItsBlob(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib)
	if _, err := c.Describe(img.Layers[0].Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v before anything is known", err)
	}
	_, err := c.PutManifest(t.Context(), img.Manifest.MediaType, bytesOf(img.Manifest))
	must(t, err)
	for range 2 {
		if d, err := c.Describe(img.Layers[0].Digest); err != nil || d.Size != img.Layers[0].Size || d.MediaType != img.Layers[0].MediaType {
			t.Errorf("%+v, %v", d, err)
		}
		must(t, put(t.Context(), c, img.Layers[0]))
	}
}

// The tag c of a/b is not the repository a/b/c, and a file system that ignores case
// gives no other tag.
func TestNamesAreDistinct(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	all := []string{"a/b:c", "a/b/c:d", "localhost:5000/a:b", "[::1]:5000/a:b", "a:latest"}
	for i, name := range all {
		must(t, c.SetName(t.Context(), nameOf(t, name, newImage(uint64(i)))))
	}
	for i, name := range all {
		want := nameOf(t, name, newImage(uint64(i)))
		if n, err := c.Name(want.reference()); err != nil || n != want {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	path, err := c.namePath(image.Reference{Registry: "docker.io", Repository: "library/a", Tag: "latest"})
	must(t, err)
	must(t, os.Rename(path, filepath.Join(filepath.Dir(path), "@LATEST")))
	if _, err := c.Name(image.Reference{Registry: "docker.io", Repository: "library/a", Tag: "LATEST"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the tag LATEST: %v", err)
	}
}

// A slow pull does not replace what another process has found out since.
func TestTheLaterNameStays(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	n := nameOf(t, "app:1", newImage(1))
	for _, step := range []struct {
		digest digest.Digest
		after  time.Duration
		want   digest.Digest
	}{
		{digest.FromString("a"), time.Hour, digest.FromString("a")},
		{digest.FromString("b"), time.Minute, digest.FromString("a")},
		{digest.FromString("c"), time.Hour, digest.FromString("c")},
		{digest.FromString("d"), 100 * 365 * 24 * time.Hour, digest.FromString("d")}, // by a clock that was wrong
		{digest.FromString("e"), time.Hour, digest.FromString("e")},
	} {
		n := n
		n.Digest, n.Checked = step.digest, n.Checked.Add(step.after)
		must(t, c.SetName(t.Context(), n))
		if got, err := c.Name(n.reference()); err != nil || got.Digest != step.want {
			t.Errorf("after %+v: %+v, %v", step, got, err)
		}
	}
}

func TestNothingIsWrittenElsewhere(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "cache"), DefaultLimit)
	good := digest.FromString("x")
	for _, n := range []Name{
		{Registry: "docker.io", Repository: "../../a", Tag: "b", Digest: good},
		{Registry: "..", Repository: "a", Tag: "b", Digest: good},
		{Registry: "docker.io", Repository: "a", Tag: "../b", Digest: good},
		{Registry: "docker.io", Repository: "library/a", Tag: "", Digest: good},
		{Registry: "docker.io", Repository: "library/a", Tag: "b", Digest: "sha256:../x"},
	} {
		if err := c.SetName(t.Context(), n); err == nil {
			t.Errorf("%+v was taken", n)
		}
	}
	for _, d := range []digest.Digest{"", "sha256:../x", "sha256:", "md5:00", digest.SHA512.FromString("x")} {
		_, err := c.Open(t.Context(), d)
		_, _, manifestErr := c.Manifest(t.Context(), d)
		_, describeErr := c.Describe(d)
		_, beginErr := c.Begin(t.Context(), ocispec.Descriptor{Digest: d}, nil, 0)
		_, putErr := c.PutManifest(t.Context(), "", []byte(`{"config":{"digest":"`+d.String()+`"}}`))
		for _, err := range []error{err, manifestErr, describeErr, beginErr, putErr} {
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %v", d, err)
			}
		}
	}
	if _, err := os.Stat(c.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cache exists: %v", err)
	}
}

func TestAManifestOutOfBoundsIsRefused(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	layer := `{"digest":"` + digest.FromString("x").String() + `"}`
	for _, body := range []string{"", "<html>", `{"config":` + layer + `,"layers":[` + strings.Repeat(layer+",", maxRefers) + layer + `]}`, strings.Repeat(" ", image.MaxManifestSize) + "{}"} {
		if _, err := c.PutManifest(t.Context(), "", []byte(body)); err == nil {
			t.Errorf("%.20q… of %d bytes was taken", body, len(body))
		}
	}
}

func TestADamagedBlobIsFoundWhenItsFileHasChanged(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"a bit":  func(path string) error { return flip(path) },
		"cut":    func(path string) error { return os.Truncate(path, 5) },
		"longer": func(path string) error { return appendTo(path) },
		"absent": func(path string) error { return os.Remove(path) },
		"empty":  func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			c, img := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib)
			putImage(t, c, "app:1", img)
			for _, b := range []registrytest.Blob{img.Layers[0], img.Manifest} {
				must(t, damage(c.blobPath(b.Digest)))
			}
			if has(t, c, img.Layers[0]) {
				t.Error("the damaged layer is served")
			}
			if _, _, err := c.Manifest(t.Context(), img.Manifest.Digest); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the damaged manifest: %v", err)
			}
			putImage(t, c, "app:1", img)
			if got := names(t, c); !has(t, c, img.Layers[0]) || !slices.Equal(got, []string{"app:1"}) {
				t.Errorf("%q after they were put again", got)
			}
		})
	}
}

func flip(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	body[len(body)/2] ^= 1
	return os.WriteFile(path, body, 0o600)
}

func appendTo(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(body, 0), 0o600)
}

// quietly damages a file whose size and time stay.
func quietly(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	must(t, flip(path))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

func TestVerifyFindsWhatTheSizeAndTimeDoNotShow(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib, 5*kib)
	putImage(t, c, "app:1", img)
	want := Verified{Blobs: 4, Bytes: img.Layers[0].Size + img.Layers[1].Size + img.Config.Size + img.Manifest.Size, Damaged: []digest.Digest{}}
	check := func() {
		t.Helper()
		if got, err := c.Verify(t.Context()); err != nil || got.Blobs != want.Blobs || got.Bytes != want.Bytes || !slices.Equal(got.Damaged, want.Damaged) || got.Damaged == nil {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	check()
	quietly(t, c.blobPath(img.Layers[0].Digest))
	quietly(t, c.blobPath(img.Manifest.Digest))
	want.Damaged = []digest.Digest{img.Layers[0].Digest, img.Manifest.Digest}
	slices.Sort(want.Damaged)
	check()
	want.Damaged, want.Blobs = []digest.Digest{}, 2
	want.Bytes -= img.Layers[0].Size + img.Manifest.Size
	check()
}

func TestAManifestAndASmallBlobAreAlwaysChecked(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1)
	putImage(t, c, "app:1", img)
	if body, err := c.Read(t.Context(), img.Config.Descriptor); err != nil || !bytes.Equal(body, bytesOf(img.Config)) {
		t.Error(err)
	}
	wrong := img.Config.Descriptor
	wrong.Size++
	if _, err := c.Read(t.Context(), wrong); !errors.Is(err, fs.ErrNotExist) || !has(t, c, img.Config) {
		t.Errorf("with another size: %v, and the blob stays: %t", err, has(t, c, img.Config))
	}
	quietly(t, c.blobPath(img.Manifest.Digest))
	quietly(t, c.blobPath(img.Config.Digest))
	if _, _, err := c.Manifest(t.Context(), img.Manifest.Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the manifest: %v", err)
	}
	if _, err := c.Read(t.Context(), img.Config.Descriptor); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the config: %v", err)
	}
}

// A crash, or a user, may remove records: the blobs are still right.
func TestALostRecordCostsAHash(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib)
	putImage(t, c, "app:1", img)
	must(t, os.RemoveAll(c.recordsDir()))
	if !has(t, c, img.Layers[0]) {
		t.Error("the layer is lost")
	}
	if r, _, ok := c.record(img.Layers[0].Digest); !ok || r.Size != img.Layers[0].Size {
		t.Errorf("record %+v", r)
	}
	// What the manifest names is not known any more, so it is to be fetched again.
	if _, _, err := c.Manifest(t.Context(), img.Manifest.Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the manifest: %v", err)
	}
	must(t, os.WriteFile(c.recordPath(img.Layers[0].Digest), []byte("{"), 0o600))
	if !has(t, c, img.Layers[0]) {
		t.Error("the layer is lost with a record that is damaged")
	}
}

func TestUseIsRecordedOnceASecond(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1)
	putImage(t, c, "app:1", img)
	path := c.recordPath(img.Config.Digest)
	for _, age := range []time.Duration{time.Minute, 300 * time.Millisecond} {
		at := time.Now().Add(-age).Truncate(time.Millisecond)
		must(t, os.Chtimes(path, at, at))
		has(t, c, img.Config)
		info, err := os.Stat(path)
		must(t, err)
		if touched := !info.ModTime().Equal(at); touched != (age > time.Second) {
			t.Errorf("%v ago: touched %t", age, touched)
		}
	}
}

// Many clients of one blob cost one look at its record a second. A file that has changed
// is noticed at once.
func TestARecordIsReadOnceASecond(t *testing.T) {
	dir := t.TempDir()
	c, img := New(dir, DefaultLimit), newImage(1, 300*kib)
	putImage(t, c, "app:1", img)
	record := c.recordPath(img.Layers[0].Digest)
	known := func() bool { _, err := os.Stat(record); return err == nil }
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			has(t, c, img.Layers[0])
			must(t, os.Remove(record))
			if has(t, c, img.Layers[0]); known() {
				t.Error("the record was looked for again within a second")
			}
			time.Sleep(time.Second)
			if has(t, c, img.Layers[0]); !known() {
				t.Error("the record was not looked for after a second")
			}
		}
		has(t, c, img.Layers[0])
		must(t, flip(c.blobPath(img.Layers[0].Digest)))
		if has(t, c, img.Layers[0]) {
			t.Error("a damaged file was not noticed")
		}
	})
}

func TestOpenEndsWithItsContext(t *testing.T) {
	c, img := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib)
	putImage(t, c, "app:1", img)
	must(t, os.Remove(c.recordPath(img.Layers[0].Digest)))
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	_, err := c.Open(ctx, img.Layers[0].Digest)
	_, verifyErr := c.Verify(ctx)
	_, listErr := c.List(ctx)
	_, _, exportErr := c.Export(ctx, t.TempDir())
	_, roomErr := New(c.Dir(), 0).Room(ctx, 0, "")
	for i, err := range []error{err, verifyErr, listErr, exportErr, roomErr} {
		if !errors.Is(err, ended) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestWhatAManifestLacks(t *testing.T) {
	c, one, two := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib), newImage(2, 300*kib)
	lacks := func(b registrytest.Blob, want ...registrytest.Blob) {
		t.Helper()
		got, err := c.Lacks(b.Digest)
		if err != nil {
			t.Error(err)
		}
		var digests []digest.Digest
		for _, w := range want {
			digests = append(digests, w.Digest)
		}
		slices.Sort(got)
		slices.Sort(digests)
		if !slices.Equal(got, digests) {
			t.Errorf("it lacks %v, want %v", got, digests)
		}
	}
	index := registrytest.NewIndex(one, two)
	manifest := func(b registrytest.Blob) {
		_, err := c.PutManifest(t.Context(), b.MediaType, bytesOf(b))
		must(t, err)
	}
	if _, err := c.Lacks(index.Manifest.Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v before it is here", err)
	}
	manifest(index.Manifest)
	lacks(index.Manifest, one.Manifest, two.Manifest)
	manifest(one.Manifest)
	lacks(one.Manifest, one.Config, one.Layers[0])
	lacks(index.Manifest, one.Manifest, two.Manifest)
	must(t, put(t.Context(), c, one.Config))
	lacks(one.Manifest, one.Layers[0])
	must(t, put(t.Context(), c, one.Layers[0]))
	lacks(one.Manifest)
	lacks(index.Manifest)
}

func TestScratchIsGoneWithItsFile(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	f, err := c.Scratch()
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("bytes")
	must(t, err)
	if size, err := c.size(); err != nil || size > 0 {
		t.Errorf("%d bytes, %v", size, err)
	}
}

func TestDiscardedBytesAreFetchedAgain(t *testing.T) {
	c, b := New(t.TempDir(), DefaultLimit), newImage(1, 300*kib).Layers[0]
	p, err := c.Begin(t.Context(), b.Descriptor, []string{"mirror"}, 0)
	must(t, err)
	must(t, p.Store().Write(0, 0, bytesOf(b)[:kib], 0))
	must(t, p.Discard())
	must(t, p.Close())
	if n := c.Arrived(b.Digest); n > 0 {
		t.Errorf("%d bytes are left", n)
	}
	must(t, put(t.Context(), c, b))
}
