package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

func TestPlanAndFinishGiveTheBytesOfWrite(t *testing.T) {
	block := testLayer{tar: make([]byte, 512), compressed: make([]byte, 512), mediaType: ocispec.MediaTypeImageLayer}
	empty := testLayer{mediaType: ocispec.MediaTypeImageLayer}
	images := map[string][]testLayer{
		"one layer":        {gzipped("x")},
		"no layer":         {},
		"whole blocks":     {block, plain("x")},
		"an empty layer":   {empty, gzipped("x")},
		"repeated layers":  {gzipped("x"), zstandard("y"), gzipped("x"), gzipped("x")},
		"a hundred layers": slices.Repeat([]testLayer{gzipped("x"), plain("y")}, 50),
	}
	for name, layers := range images {
		for _, f := range []Format{DockerArchive, OCIArchive} {
			t.Run(name+" "+string(f), func(t *testing.T) {
				img, blobs := newImage("a/b:1", layers...)
				want := write(t, img, f, blobs)
				l := plan(t, img, f)
				if l.Size() != int64(len(want)) {
					t.Errorf("Size %d, the archive has %d bytes", l.Size(), len(want))
				}
				place := func(w io.WriterAt) error { return placeBlobs(w, l, img, blobs) }
				orders := map[string][]func(io.WriterAt) error{
					"blobs first":         {place, l.Finish},
					"blobs last":          {l.Finish, place},
					"finished once again": {place, l.Finish, l.Finish},
				}
				for order, steps := range orders {
					if got := carryOut(t, steps); !bytes.Equal(got, want) {
						t.Errorf("%s: other bytes than Write", order)
					}
				}
			})
		}
	}
}

func plan(t *testing.T, img image.Image, f Format) *Layout {
	t.Helper()
	l, err := Plan(img, f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func placeBlobs(w io.WriterAt, l *Layout, img image.Image, blobs memory) error {
	for _, b := range img.Blobs() {
		if _, err := w.WriteAt(blobs[b.Digest], l.Offset(b.Digest)); err != nil {
			return err
		}
	}
	return nil
}

func carryOut(t *testing.T, steps []func(io.WriterAt) error) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	must(err)
	defer f.Close()
	for _, step := range steps {
		must(step(f))
	}
	b, err := os.ReadFile(f.Name())
	must(err)
	return b
}

// span is a range of bytes, end excluded.
type span struct{ start, end int64 }

// recorder remembers where was written.
type recorder struct{ spans []span }

func (r *recorder) WriteAt(p []byte, at int64) (int, error) {
	r.spans = append(r.spans, span{at, at + int64(len(p))})
	return len(p), nil
}

func TestFinishTouchesAllButTheBlobs(t *testing.T) {
	img, _ := newImage("a/b:1", gzipped("x"), gzipped("y"), plain("z"), gzipped("x"))
	l := plan(t, img, DockerArchive)
	var r recorder
	must(l.Finish(&r))
	for _, b := range img.Blobs() {
		r.spans = append(r.spans, span{l.Offset(b.Digest), l.Offset(b.Digest) + b.Size})
	}
	slices.SortFunc(r.spans, func(a, b span) int { return int(a.start - b.start) })
	var at int64
	for _, s := range r.spans {
		if s.start != at {
			t.Fatalf("a gap or an overlap at %d: next is %v", at, s)
		}
		at = s.end
	}
	if at != l.Size() {
		t.Errorf("ends at %d, Size is %d", at, l.Size())
	}
}

type fullDisk struct{}

var errFull = errors.New("disk full")

func (fullDisk) WriteAt([]byte, int64) (int, error) { return 0, errFull }
func (fullDisk) Write([]byte) (int, error)          { return 0, errFull }

func TestFinishAndWriteReportTheWritersError(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	if err := plan(t, img, OCIArchive).Finish(fullDisk{}); !errors.Is(err, errFull) {
		t.Errorf("Finish: %v", err)
	}
	for _, f := range []Format{DockerArchive, Legacy} {
		if err := Write(t.Context(), fullDisk{}, img, f, blobs); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestOffsetOfABlobOfAnotherImage(t *testing.T) {
	img, _ := newImage("a/b:1", gzipped("x"))
	if at := plan(t, img, OCIArchive).Offset(digest.FromString("stranger")); at != -1 {
		t.Errorf("got %d", at)
	}
}

func TestPlanRefusesWhatItCannotLayOut(t *testing.T) {
	img, _ := newImage("a/b:1", gzipped("x"))
	for _, f := range []Format{Legacy, OCI, "zip"} {
		if _, err := Plan(img, f); err == nil || !strings.Contains(err.Error(), string(f)) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestPlanOfLayersAboveTheLimitOfUSTAR(t *testing.T) {
	// A size above 8 GiB needs a PAX record before the header. The file is sparse.
	img, blobs := newImage("a/b:1", gzipped("x"))
	huge := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("huge"), Size: 9<<30 + 1}
	img = withConfig("a/b:1", blobs, img.Config, append(img.Layers, huge))
	l := plan(t, img, OCIArchive)
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	must(err)
	defer f.Close()
	must(l.Finish(f))
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatal("the huge layer was not found: ", err)
		}
		if h.Name == blobPath(huge.Digest) {
			if at, err := f.Seek(0, io.SeekCurrent); h.Size != huge.Size || at != l.Offset(huge.Digest) || err != nil {
				t.Errorf("%d bytes at %d, want %d at %d; %v", h.Size, at, huge.Size, l.Offset(huge.Digest), err)
			}
			return
		}
	}
}
