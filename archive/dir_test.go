package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// readDir returns the files of a directory by their slash-separated names.
func readDir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	must(fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = os.ReadFile(filepath.Join(dir, name))
		return err
	}))
	return files
}

func addTo(t *testing.T, dir string, img image.Image, blobs Blobs) {
	t.Helper()
	if err := WriteDir(t.Context(), dir, img, blobs); err != nil {
		t.Fatal(err)
	}
}

func refNames(t *testing.T, dir string) []string {
	t.Helper()
	var index ocispec.Index
	must(json.Unmarshal(readDir(t, dir)["index.json"], &index))
	var names []string
	for _, m := range index.Manifests {
		names = append(names, m.Annotations[ocispec.AnnotationRefName])
	}
	return names
}

func TestWriteDirMakesAnOCILayout(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"), zstandard("y"), gzipped("x"))
	dir := filepath.Join(t.TempDir(), "new", "layout")
	addTo(t, dir, img, blobs)
	got := readDir(t, dir)
	want := readBack(t, write(t, img, OCIArchive, blobs))
	for name, content := range want.files {
		if !strings.HasSuffix(name, "/") && name != "index.json" && !bytes.Equal(got[name], content) {
			t.Errorf("%s differs from that in an oci-archive", name)
		}
	}
	if len(got) != len(want.files)-2 { // the archive has two entries for directories
		t.Errorf("files %v", slices.Sorted(maps.Keys(got)))
	}
	if names := refNames(t, dir); !slices.Equal(names, []string{"1"}) {
		t.Errorf("ref names %q", names)
	}
}

func TestWriteDirAddsAndReplaces(t *testing.T) {
	dir := t.TempDir()
	one, blobs1 := newImage("a/b:1", gzipped("shared"), gzipped("x"))
	two, blobs2 := newImage("a/b:2", gzipped("shared"), gzipped("y"))
	newer, blobs3 := newImage("a/b:1", gzipped("shared"), gzipped("z"))
	addTo(t, dir, one, blobs1)
	addTo(t, dir, two, blobs2)
	addTo(t, dir, newer, blobs3)
	addTo(t, dir, newer, blobs3)
	if names := refNames(t, dir); !slices.Equal(names, []string{"2", "1"}) {
		t.Errorf("ref names %q", names)
	}
	index := string(readDir(t, dir)["index.json"])
	if !strings.Contains(index, newer.Manifest.Digest.String()) || strings.Contains(index, one.Manifest.Digest.String()) {
		t.Errorf("a/b:1 was not replaced: %s", index)
	}
}

func TestWriteDirKeepsWholeBlobsAndReplacesDamagedOnes(t *testing.T) {
	dir := t.TempDir()
	img, blobs := newImage("a/b:1", gzipped("x"), gzipped("y"), gzipped("z"))
	addTo(t, dir, img, blobs)
	path := func(i int) string { return filepath.Join(dir, blobPath(img.Layers[i].Digest)) }
	whole, err := os.Stat(path(0))
	must(err)
	flipped := bytes.Clone(blobs[img.Layers[1].Digest])
	flipped[len(flipped)/2] ^= 1
	must(os.WriteFile(path(1), flipped, 0o644))
	must(os.Truncate(path(2), 1))
	addTo(t, dir, img, blobs)
	if again, err := os.Stat(path(0)); err != nil || !os.SameFile(whole, again) || !whole.ModTime().Equal(again.ModTime()) {
		t.Error("a whole blob was written again")
	}
	got := readDir(t, dir)
	for _, l := range img.Layers[1:] {
		if !bytes.Equal(got[blobPath(l.Digest)], blobs[l.Digest]) {
			t.Errorf("%s was not replaced", l.Digest)
		}
	}
}

func TestWriteDirGoesOnAfterACrash(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	clean := t.TempDir()
	addTo(t, clean, img, blobs)
	want := readDir(t, clean)
	leftovers := map[string][]string{
		"before oci-layout": {tempPrefix + "oci-layout"},
		"in a blob":         {"oci-layout", "blobs/sha256/" + tempPrefix + img.Layers[0].Digest.Encoded()},
		"before index.json": {"oci-layout", blobPath(img.Layers[0].Digest), tempPrefix + "index.json"},
	}
	for when, names := range leftovers {
		dir := t.TempDir()
		for _, name := range names {
			must(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
			content := []byte("half")
			if whole, ok := want[name]; ok {
				content = whole
			}
			must(os.WriteFile(filepath.Join(dir, name), content, 0o644))
		}
		addTo(t, dir, img, blobs)
		for name, content := range readDir(t, dir) {
			if !bytes.Equal(content, want[name]) {
				t.Errorf("%s: %s is left over or differs", when, name)
			}
		}
	}
}

func TestWriteDirLeavesNothingBehindWhenItFails(t *testing.T) {
	dir := t.TempDir()
	img, blobs := newImage("a/b:1", gzipped("x"))
	addTo(t, dir, img, blobs)
	before := readDir(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	next, more := newImage("a/b:2", gzipped("y"))
	if err := WriteDir(ctx, dir, next, more); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := WriteDir(t.Context(), dir, next, memory{}); !errors.Is(err, errMissing) {
		t.Errorf("without blobs: %v", err)
	}
	for name, content := range readDir(t, dir) {
		if !bytes.Equal(content, before[name]) {
			t.Errorf("%s was changed or left", name)
		}
	}
}

func TestWriteDirRefusesOtherDirectories(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	tests := []struct{ name, file, content, says string }{
		{"a directory with files", "holiday.jpg", "", `holds "holiday.jpg"`},
		{"another version", "oci-layout", `{"imageLayoutVersion":"2.0.0"}`, `"2.0.0"`},
		{"a broken layout file", "oci-layout", `{`, "oci-layout"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		must(os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.content), 0o644))
		for _, err := range []error{CheckDir(dir), WriteDir(t.Context(), dir, img, blobs)} {
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) ||
				!strings.Contains(err.Error(), "choose an") {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if files := readDir(t, dir); len(files) != 1 {
			t.Errorf("%s: something was written", tt.name)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	must(os.WriteFile(file, nil, 0o644))
	if err := WriteDir(t.Context(), file, img, blobs); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestWriteDirKeepsABrokenIndex(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	for _, index := range []string{`{`, `[]`, `{"manifests":{}}`, `{"manifests":[1]}`, strings.Repeat(" ", image.MaxManifestSize+1)} {
		dir := t.TempDir()
		addTo(t, dir, img, blobs)
		must(os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o644))
		for _, err := range []error{CheckDir(dir), WriteDir(t.Context(), dir, img, blobs)} {
			if err == nil || !strings.Contains(err.Error(), "index.json") {
				t.Errorf("%.20q: %v", index, err)
			}
		}
		if got := string(readDir(t, dir)["index.json"]); got != index {
			t.Errorf("%.20q was replaced by %q", index, got)
		}
	}
}

func TestCheckDirLeavesTheDirectoryAsItIs(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	empty, layout := t.TempDir(), t.TempDir()
	addTo(t, layout, img, blobs)
	for _, dir := range []string{empty, layout} {
		before := readDir(t, dir)
		for range 2 {
			must(CheckDir(dir))
		}
		if after := readDir(t, dir); !maps.EqualFunc(before, after, bytes.Equal) {
			t.Errorf("it held %d files, now %d", len(before), len(after))
		}
		// What a crash in it has left is removed by the next.
		must(os.WriteFile(filepath.Join(dir, tempPrefix+"probe"), nil, 0o600))
		must(CheckDir(dir))
		if after := readDir(t, dir); len(before) != len(after) {
			t.Errorf("it holds %q", slices.Sorted(maps.Keys(after)))
		}
	}
}

func TestCheckDirFindsWhatIsInTheWayOfFiles(t *testing.T) {
	for _, at := range []string{".", blobsDir} {
		dir := t.TempDir()
		must(os.MkdirAll(filepath.Join(dir, at, tempPrefix+"probe", "full"), 0o755))
		must(os.WriteFile(filepath.Join(dir, ocispec.ImageLayoutFile), ociLayout(), 0o644))
		if err := CheckDir(dir); err == nil || !strings.Contains(err.Error(), "correct its permissions") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestWriteDirDoesNotFollowLinksOut(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	for _, link := range []string{"blobs", "blobs/sha256", "index.json"} {
		outside, dir := t.TempDir(), t.TempDir()
		must(os.WriteFile(filepath.Join(dir, "oci-layout"), ociLayout(), 0o644))
		must(os.MkdirAll(filepath.Join(dir, filepath.Dir(link)), 0o755))
		must(os.Symlink(outside, filepath.Join(dir, link)))
		if err := WriteDir(t.Context(), dir, img, blobs); err == nil {
			t.Errorf("%s: followed", link)
		}
		if files := readDir(t, outside); len(files) > 0 {
			t.Errorf("%s: %d files were written outside", link, len(files))
		}
	}
}
