package state

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestAFollowerReadsWhatArrives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blob")
	content, other := random(600<<10, 1), random(600<<10, 2)
	place := Placement{Digest: "sha256:a", Size: int64(len(content))}
	f := Follow(path, place.Digest, place.Size)
	defer f.Close()
	wrong := Follow(path, place.Digest, place.Size+1)
	defer wrong.Close()
	buf := make([]byte, MaxRecord)
	want := func(about string, off int64, want []byte) {
		t.Helper()
		n, err := f.Read(off, buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("%s: %d bytes at %d, %v; want %d", about, n, off, err, len(want))
		}
		if arrived, err := f.Arrived(off); err != nil || arrived != (n > 0) && about != "being replaced" {
			t.Errorf("%s: the byte at %d has arrived: %t, %v", about, off, arrived, err)
		}
		if n, err := wrong.Read(off, buf); err != nil || n > 0 {
			t.Errorf("%s: %d bytes of a blob of another size, %v", about, n, err)
		}
	}
	want("no directory", 0, nil)
	s := open(t, path, []Placement{{Digest: "sha256:b", Size: 5, Offset: place.Size}, place}, "a")
	b := s.Blob(1)
	want("nothing has arrived", 0, nil)
	must(t, s.Blob(0).Write(0, []byte("other"), 0))
	must(t, b.Write(100, content[100:1000], 0))
	want("before it", 0, nil)
	want("from the middle of a record", 200, content[200:1000])
	must(t, b.Write(0, content[:100], 0))
	want("a gap is filled", 0, content[:100])

	must(t, b.Replace(100, other[100:300], 0))
	want("replaced", 100, other[100:300])
	must(t, b.Forget(segment.Range{Start: 100, End: 300}))
	_, err := s.part.WriteAt(content[100:300], place.Offset+100)
	must(t, err)
	want("being replaced", 100, nil)
	must(t, b.Write(100, content[100:300], 0))
	want("fetched again", 100, content[100:300])

	// A process writes a record, and is killed in the middle of it.
	_, err = s.log.f.WriteAt(make([]byte, recordSize-1), s.log.end)
	must(t, err)
	want("a part of a record", 1000, nil)
	must(t, b.Write(1000, content[1000:2000], 0))
	want("the whole record", 1000, content[1000:2000])
	_, err = s.log.f.WriteAt(make([]byte, recordSize), s.log.end)
	must(t, err)
	want("a record that is not written yet", 2000, nil)
	must(t, b.Write(2000, content[2000:3000], 0))
	want("it is written", 2000, content[2000:3000])

	// Another process continues.
	must(t, s.Close())
	s = open(t, path, []Placement{place}, "b")
	must(t, s.Blob(0).Write(3000, content[3000:4000], 0))
	want("of another Store", 3000, content[3000:4000])
	want("of the first Store", 2000, content[2000:3000])
	must(t, s.Remove())
	want("removed, known before", 2000, content[2000:3000])
	want("removed", 5000, nil)

	must(t, os.MkdirAll(Dir(path), 0o700))
	must(t, os.WriteFile(filepath.Join(Dir(path), sidecarName), []byte("damaged"), 0o600))
	want("a damaged log", 5000, nil)
	want("a damaged log", 2000, nil)
}
