package segpull_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
)

// An archive that exists and is right does not change. The pull fetches nothing, and
// removes the directory of a run that was killed just before its end.
func TestAnArchiveThatStandsIsUpToDate(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 700*kib, 300*kib)
	m := pulltest.Serve(t, 1, img)
	for _, format := range []string{"docker-archive", "oci-archive"} {
		out := filepath.Join(t.TempDir(), "app.tar")
		first := m.MustPull(t, segpull.Options{Output: out, Format: format})
		if first.UpToDate {
			t.Errorf("%s: up to date before it was there", format)
		}
		pulltest.Must(t, os.Mkdir(out+".segpull", 0o700))
		before := pulltest.Stat(t, out)
		m.Servers[0].ResetStats()
		rec := &pulltest.Recorder{}
		r := m.MustPull(t, segpull.Options{Output: out, Format: format, Observer: rec})
		if !r.UpToDate || r.Fetched != 0 || r.Resumed != pulltest.BlobsOf(img) || m.ServedBesides(img) != 0 {
			t.Errorf("%s: %+v, and %d bytes were served", format, r, m.Served())
		}
		if after := pulltest.Stat(t, out); !os.SameFile(before, after) || before.ModTime() != after.ModTime() {
			t.Errorf("%s: the archive was touched", format)
		}
		samples := pulltest.EventsOf[segpull.Progress](rec)
		if last := samples[len(samples)-1]; last.Done != last.Total || last.Resumed != last.Total || last.Blobs[0].Verified != last.Blobs[0].Size {
			t.Errorf("%s: ended with %+v", format, last)
		}
		if n := len(pulltest.EventsOf[segpull.Resolved](rec)); n != 1 {
			t.Errorf("%s: resolved %d times", format, n)
		}
		pulltest.WantFiles(t, filepath.Dir(out), "app.tar")
	}
}

// The bytes that a pull of another image to the same name has fetched stay.
func TestAnArchiveThatStandsLeavesAnotherPullAlone(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 300*kib))
	m.Servers[0].Push(repo, "2", pulltest.ImageOf(2, 5*mib, 2*mib))
	kept, done := pulltest.Interrupted(t, m, "2")
	out := filepath.Join(t.TempDir(), "app.tar")
	m.MustPull(t, segpull.Options{Output: out})
	pulltest.Must(t, os.CopyFS(out+".segpull", os.DirFS(kept)))
	if r := m.MustPull(t, segpull.Options{Output: out}); !r.UpToDate {
		t.Fatal("it was not up to date")
	}
	results, err := m.Pull(t, segpull.Options{Output: out}, strings.TrimSuffix(ref, "1")+"2")
	pulltest.Must(t, err)
	if results[0].Resumed < done {
		t.Errorf("of %d bytes of the other image, %d are left", done, results[0].Resumed)
	}
}

// The pull replaces any other file.
func TestAnArchiveThatIsNotRightIsReplaced(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 700*kib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Push(repo, "2", pulltest.ImageOf(2, 700*kib))
	pristine := filepath.Join(t.TempDir(), "app.tar")
	m.MustPull(t, segpull.Options{Output: pristine})
	right := pulltest.ReadFile(t, pristine)
	flipped := func(at int) []byte {
		b := bytes.Clone(right)
		b[at] ^= 1
		return b
	}
	other := filepath.Join(t.TempDir(), "other.tar")
	if _, err := m.Pull(t, segpull.Options{Output: other}, strings.TrimSuffix(ref, "1")+"2"); err != nil {
		t.Fatal(err)
	}
	for what, existing := range map[string][]byte{
		"a byte of a layer":  flipped(len(right) / 2),
		"a byte of a header": flipped(10),
		"the last byte":      flipped(len(right) - 1),
		"cut short":          right[:len(right)-512],
		"longer":             append(bytes.Clone(right), 0),
		"another image":      pulltest.ReadFile(t, other),
		"empty":              {},
	} {
		out := filepath.Join(t.TempDir(), "app.tar")
		pulltest.Must(t, os.WriteFile(out, existing, 0o644))
		if r := m.MustPull(t, segpull.Options{Output: out}); r.UpToDate {
			t.Errorf("%s: said to be up to date", what)
		}
		if !bytes.Equal(pulltest.ReadFile(t, out), right) {
			t.Errorf("%s: the archive is wrong", what)
		}
	}
}

// Later images take shared layers from the existing archive.
func TestAnArchiveThatStandsSharesItsLayers(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Push("team/other", "2", img)
	out := filepath.Join(t.TempDir(), "out") + string(filepath.Separator)
	m.MustPull(t, segpull.Options{Output: out})
	m.Servers[0].ResetStats()
	results, err := m.Pull(t, segpull.Options{Output: out}, ref, "registry.example/team/other:2")
	if err != nil {
		t.Fatal(err)
	}
	if !results[0].UpToDate || results[1].UpToDate || m.ServedBesides(img) != 0 {
		t.Errorf("%d bytes were served for %+v", m.Served(), results)
	}
	pulltest.CheckOCI(t, pulltest.Contents(t, results[1].Path), img)
}

// A pull into a layout does not fetch blobs that the layout has, of whichever image.
func TestALayoutServesTheImageThatIsAddedToIt(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 700*kib, 300*kib)
	m := pulltest.Serve(t, 1, img)
	layout := filepath.Join(t.TempDir(), "layout")
	pull := func() segpull.Result {
		t.Helper()
		m.Servers[0].ResetStats()
		r := m.MustPull(t, segpull.Options{Output: layout, Format: "oci"})
		pulltest.CheckOCI(t, pulltest.Contents(t, layout), img)
		return r
	}
	pull()
	if r := pull(); r.Fetched != 0 || m.ServedBesides(img) != 0 {
		t.Errorf("fetched %d bytes for what is there", m.Served())
	}
	blob := filepath.Join(layout, "blobs", "sha256", img.Layers[1].Digest.Encoded())
	content := pulltest.ReadFile(t, blob)
	content[7] ^= 1
	pulltest.Must(t, os.WriteFile(blob, content, 0o644))
	if r := pull(); r.Fetched != img.Layers[1].Size {
		t.Errorf("fetched %d bytes for a blob of %d that is damaged", r.Fetched, img.Layers[1].Size)
	}
}
