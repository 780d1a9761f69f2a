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
