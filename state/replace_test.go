package state

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestReplaceHandsBytesToAnotherSource(t *testing.T) {
	const size = 3 * MaxRecord
	tests := []struct {
		name       string
		start, end int64
		want       []Run
	}{
		{"whole records", 0, MaxRecord, []Run{{segment.Range{Start: 0, End: MaxRecord}, "honest"}, {segment.Range{Start: MaxRecord, End: size}, "corrupt"}}},
		{"inside of a record", 10, 20, []Run{{segment.Range{Start: 0, End: 10}, "corrupt"}, {segment.Range{Start: 10, End: 20}, "honest"}, {segment.Range{Start: 20, End: size}, "corrupt"}}},
		{"across records", 10, size - 10, []Run{{segment.Range{Start: 0, End: 10}, "corrupt"}, {segment.Range{Start: 10, End: size - 10}, "honest"}, {segment.Range{Start: size - 10, End: size}, "corrupt"}}},
		{"everything", 0, size, []Run{{segment.Range{Start: 0, End: size}, "honest"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image.tar")
			blobs := []Placement{{Digest: "sha256:a", Size: size, Offset: 512}}
			wrong, right := random(size, 1), random(size, 2)
			s := open(t, path, blobs, "corrupt", "honest")
			must(t, s.Write(0, 0, wrong, 0))
			must(t, s.Blob(0).Replace(tt.start, right[tt.start:tt.end], 1))

			want := slices.Concat(wrong[:tt.start], right[tt.start:tt.end], wrong[tt.end:])
			check := func(s *Store) {
				t.Helper()
				if got := s.Blob(0).Runs(); !slices.Equal(got, tt.want) {
					t.Errorf("Runs() = %v, want %v", got, tt.want)
				}
				if !bytes.Equal(content(t, s.Blob(0)), want) {
					t.Error("the blob does not hold what was written and replaced")
				}
				if s.Blob(0).Done() != size {
					t.Errorf("Done() = %d, want %d", s.Blob(0).Done(), size)
				}
			}
			check(s)
			must(t, s.Close())
			check(open(t, path, blobs, "honest")) // the records keep the names of sources
		})
	}
}

// If Replace runs during a read, the bytes may not have the checksum of the record at
// the start of the read. That is not damage.
func TestReaderOvertakenByReplace(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{Digest: "sha256:a", Size: 100}}, "a", "b")
	reported := damaged(s)
	b := s.Blob(0)
	must(t, b.Write(0, random(100, 1), 0))
	old, _ := b.at(0)
	must(t, b.Replace(0, random(100, 2), 1))
	must(t, b.reject(old))
	if len(reported()) > 0 || b.Done() != 100 {
		t.Errorf("reported %v, %d bytes are left", reported(), b.Done())
	}
}

func TestAlterationsAreOfRecordedBytes(t *testing.T) {
	const size = 3 * MaxRecord
	s := open(t, filepath.Join(t.TempDir(), "x"), []Placement{{Digest: "sha256:a", Size: size}}, "a", "b")
	b := s.Blob(0)
	must(t, b.Write(0, random(MaxRecord, 1), 0))
	must(t, b.Write(2*MaxRecord, random(MaxRecord, 1), 0))
	for _, test := range []struct{ off, most, want int64 }{
		{0, size, MaxRecord}, {10, 20, 30}, {MaxRecord, size, MaxRecord}, {2*MaxRecord + 1, size, size}, {0, 0, 0},
	} {
		if end := b.Recorded(test.off, test.most); end != test.want {
			t.Errorf("Recorded(%d, %d) = %d, want %d", test.off, test.most, end, test.want)
		}
	}
	before := b.Alterations()
	must(t, b.Write(MaxRecord, random(MaxRecord, 1), 0))
	if b.Alterations() != before || b.Recorded(0, size) != size {
		t.Error("a gap that is filled counts as an alteration")
	}
	must(t, b.Replace(10, random(10, 2), 1))
	must(t, b.Forget(segment.Range{Start: 2 * MaxRecord, End: size}))
	for _, test := range []struct {
		segment.Range
		since int
		want  bool
	}{
		{segment.Range{Start: 5, End: 15}, before, true},
		{segment.Range{Start: MaxRecord, End: 2 * MaxRecord}, before, false},
		{segment.Range{Start: size - 1, End: size}, before, true},
		{segment.Range{Start: 0, End: size}, b.Alterations(), false},
	} {
		if got := b.Altered(test.since, test.Range); got != test.want {
			t.Errorf("Altered(%d, %v) = %t", test.since, test.Range, got)
		}
	}
}
