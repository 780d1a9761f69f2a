package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/segpull/segpull/segment"
)

// sidecar writes a sidecar.
func sidecar(t testing.TB, h header, records ...record) []byte {
	t.Helper()
	b, err := h.append(nil)
	must(t, err)
	for _, r := range records {
		b = r.append(b)
	}
	return b
}

func rec(kind recordKind, blob uint32, start, end int64) record {
	return record{kind, 0, blob, segment.Range{Start: start, End: end}, 7}
}

func held(records haves) (out []segment.Range) {
	for _, h := range records {
		out = append(out, h.Range)
	}
	return out
}

var twoBlobs = header{Part: "part", Blobs: []Placement{{"sha256:a", 1000, 0}, {"sha256:b", 10 << 20, 1000}}, Sources: []string{"m"}}

func TestLogIsReplayed(t *testing.T) {
	tests := []struct {
		name    string
		records []record
		want    []segment.Range // of the second blob
	}{
		{"in any order", []record{rec(kindHave, 1, 50, 60), rec(kindHave, 1, 0, 10)}, ranges(0, 10, 50, 60)},
		{"later ones win", []record{rec(kindHave, 1, 0, 100), rec(kindHave, 1, 100, 200), rec(kindHave, 1, 90, 110)}, ranges(90, 110)},
		{"forgotten", []record{rec(kindHave, 1, 0, 100), rec(kindHave, 1, 100, 200), rec(kindForget, 1, 0, 100)}, ranges(100, 200)},
		{"written again", []record{rec(kindHave, 1, 0, 100), rec(kindForget, 1, 0, 100), rec(kindHave, 1, 0, 50)}, ranges(0, 50)},
		{"a kind of a newer version is not believed", []record{rec(kindHave, 1, 0, 100), rec(77, 1, 0, 100)}, nil},
		{"of no such blob", []record{rec(kindHave, 2, 0, 100), rec(kindHave, math.MaxUint32, 0, 100)}, nil},
		{"of no such source", []record{{kindHave, 1, 1, segment.Range{End: 10}, 7}}, nil},
		{"empty", []record{rec(kindHave, 1, 5, 5)}, nil},
		{"backwards", []record{rec(kindHave, 1, 5, 4)}, nil},
		{"before the blob", []record{rec(kindHave, 1, -5, 5)}, nil},
		{"behind the blob", []record{rec(kindHave, 1, 10<<20-1, 10<<20+1)}, nil},
		{"longer than a record may be", []record{rec(kindHave, 1, 0, MaxRecord+1)}, nil},
		{"round the end of the numbers", []record{rec(kindHave, 1, math.MaxInt64, math.MinInt64+5)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, records, err := parseLog(bytes.NewReader(sidecar(t, twoBlobs, tt.records...)))
			must(t, err)
			if got := held(records[1]); !slices.Equal(got, tt.want) {
				t.Errorf("on disk: %v, want %v", got, tt.want)
			}
		})
	}
}

// A torn, damaged or lost record does not affect the others.
func TestDamagedRecordCostsItself(t *testing.T) {
	whole := sidecar(t, twoBlobs, rec(kindHave, 0, 0, 10), rec(kindHave, 0, 10, 20), rec(kindHave, 0, 20, 30))
	second := len(whole) - 2*recordSize
	for at := range recordSize {
		spoilt := slices.Clone(whole)
		spoilt[second+at] ^= 1
		_, records, err := parseLog(bytes.NewReader(spoilt))
		must(t, err)
		if got, want := held(records[0]), ranges(0, 10, 20, 30); !slices.Equal(got, want) {
			t.Errorf("byte %d flipped: %v, want %v", at, got, want)
		}
		_, records, err = parseLog(bytes.NewReader(whole[:second+at]))
		must(t, err)
		if got, want := held(records[0]), ranges(0, 10); !slices.Equal(got, want) {
			t.Errorf("cut after %d bytes: %v, want %v", at, got, want)
		}
	}
	clear(whole[second:][:recordSize]) // a hole, as after a lost write
	_, records, err := parseLog(bytes.NewReader(whole))
	must(t, err)
	if got, want := held(records[0]), ranges(0, 10, 20, 30); !slices.Equal(got, want) {
		t.Errorf("zeros: %v, want %v", got, want)
	}
}

func TestHeaderThatCantBeUsed(t *testing.T) {
	good := sidecar(t, twoBlobs)
	text := func(json string) []byte {
		b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(json)))
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum([]byte(json), castagnoli))
		return append(b, json...)
	}
	tests := map[string][]byte{
		"empty":              nil,
		"another version":    append([]byte("segpull2"), good[8:]...),
		"cut":                good[:len(good)-1],
		"flipped":            append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^1),
		"absurdly long":      binary.LittleEndian.AppendUint64([]byte(magic), math.MaxUint64),
		"no JSON":            text("{"),
		"nested deeply":      text(strings.Repeat("[", 100_000)),
		"a negative size":    text(`{"blobs":[{"size":-1}]}`),
		"a negative offset":  text(`{"blobs":[{"offset":-1}]}`),
		"an end that wraps":  text(`{"blobs":[{"offset":9223372036854775807,"size":1}]}`),
		"a fraction":         text(`{"blobs":[{"size":1.5}]}`),
		"too many sources":   sidecar(t, header{Sources: make([]string, maxSources+1)}),
		"a size too long":    text(`{"blobs":[{"size":99999999999999999999}]}`),
		"another JSON value": text(`"part"`),
	}
	for name, data := range tests {
		if _, _, err := parseLog(bytes.NewReader(data)); !errors.Is(err, errSidecar) {
			t.Errorf("%s: %v, want that it is not a sidecar", name, err)
		}
	}
}

// An error of the disk does not count as an invalid sidecar.
func TestSidecarThatCantBeRead(t *testing.T) {
	whole := sidecar(t, twoBlobs, rec(kindHave, 0, 0, 10))
	for n := range len(whole) + 1 {
		r := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(io.ErrNoProgress))
		if _, _, err := parseLog(r); err != io.ErrNoProgress {
			t.Fatalf("failing after %d bytes: %v", n, err)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(sidecar(f, twoBlobs))
	f.Add(sidecar(f, twoBlobs, rec(kindHave, 0, 0, 1000), rec(kindForget, 0, 0, 1000), rec(kindHave, 1, 5, 500)))
	f.Add(sidecar(f, header{}))
	f.Add(sidecar(f, twoBlobs, rec(kindHave, 1, 0, 100), rec(kindHave, 1, 50, 60))[:200])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkParsed(t, data)
		// With right checksums, which a fuzzer cannot guess:
		checkParsed(t, resum(data))
	})
}

// checkParsed checks that the parsed header and records are valid.
func checkParsed(t *testing.T, data []byte) {
	h, records, err := parseLog(bytes.NewReader(data))
	if err != nil {
		return
	}
	if len(records) != len(h.Blobs) {
		t.Fatalf("records of %d blobs, placements of %d", len(records), len(h.Blobs))
	}
	for i, l := range records {
		end := int64(0)
		for _, have := range l {
			if have.Start < end || have.Len() <= 0 || have.Len() > MaxRecord || int(have.source) >= len(h.Sources) {
				t.Fatalf("blob %d: %v", i, have)
			}
			end = have.End
		}
		if end > h.Blobs[i].Size {
			t.Fatalf("blob %d of %d bytes has records up to %d", i, h.Blobs[i].Size, end)
		}
	}
}

// resum corrects the checksums of a sidecar.
func resum(data []byte) []byte {
	b := slices.Clone(data)
	if len(b) < preludeSize {
		return b
	}
	size := int(binary.LittleEndian.Uint32(b[8:]))
	if size > len(b)-preludeSize {
		return b
	}
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[preludeSize:][:size], castagnoli))
	for at := preludeSize + size; at+recordSize <= len(b); at += recordSize {
		binary.LittleEndian.PutUint32(b[at+recordSize-4:], crc32.Checksum(b[at:][:recordSize-4], castagnoli))
	}
	return b
}
