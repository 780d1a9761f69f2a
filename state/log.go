package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/segpull/segpull/segment"
)

// The sidecar: magic, length and checksum of the header, the header as JSON,
// and records of a fixed size, each with a checksum of its own, so that a torn
// or lost one costs itself and no other. All numbers are little-endian.
const (
	magic       = "segpull1"
	preludeSize = len(magic) + 8
	recordSize  = 32

	maxHeader  = 4 << 20
	maxSidecar = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header says what the part file holds.
type header struct {
	Part    string      `json:"part"` // name of the part file
	Blobs   []Placement `json:"blobs"`
	Sources []string    `json:"sources"`
}

// source returns the index of a source, which it adds if it is new.
func (h *header) source(name string) uint16 {
	i := slices.Index(h.Sources, name)
	if i < 0 {
		i = len(h.Sources)
		h.Sources = append(h.Sources, name)
	}
	return uint16(i)
}

// recordKind says what a record means.
type recordKind uint16

const (
	kindHave   recordKind = iota + 1 // the bytes are on disk, with this checksum
	kindForget                       // the bytes are not to be believed
)

// record is one line of the log.
type record struct {
	kind   recordKind
	source uint16
	blob   uint32
	bytes  segment.Range
	sum    uint32 // CRC-32C of the bytes
}

func (r record) append(b []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint16(b, uint16(r.kind))
	b = binary.LittleEndian.AppendUint16(b, r.source)
	b = binary.LittleEndian.AppendUint32(b, r.blob)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.bytes.Start))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.bytes.Len()))
	b = binary.LittleEndian.AppendUint32(b, r.sum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseRecord reads one record; ok is false where its checksum is wrong.
func parseRecord(b []byte) (r record, ok bool) {
	body, sum := b[:recordSize-4], binary.LittleEndian.Uint32(b[recordSize-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return record{}, false
	}
	start := int64(binary.LittleEndian.Uint64(body[8:]))
	size := int64(binary.LittleEndian.Uint64(body[16:]))
	return record{
		kind:   recordKind(binary.LittleEndian.Uint16(body)),
		source: binary.LittleEndian.Uint16(body[2:]),
		blob:   binary.LittleEndian.Uint32(body[4:]),
		bytes:  segment.Range{Start: start, End: start + size},
		sum:    binary.LittleEndian.Uint32(body[24:]),
	}, true
}

// fits says whether r speaks of bytes that the header knows.
func (h header) fits(r record) bool {
	if int(r.blob) >= len(h.Blobs) || int(r.source) >= len(h.Sources) {
		return false
	}
	b, size := r.bytes, h.Blobs[r.blob].Size
	return b.Start >= 0 && b.Start < b.End && b.End <= size && b.Len() <= MaxRecord
}

func (h header) append(b []byte) ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(text, castagnoli))
	return append(b, text...), nil
}

var errSidecar = errors.New("not a sidecar of this version")

// parseLog reads a sidecar. Records that are damaged or make no sense are left
// out; only a header that can't be read is an error.
func parseLog(r io.Reader) (header, []record, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSidecar))
	if err != nil {
		return header{}, nil, err
	}
	h, data, err := parseHeader(data)
	if err != nil {
		return header{}, nil, err
	}
	var records []record
	for ; len(data) >= recordSize; data = data[recordSize:] {
		if r, ok := parseRecord(data[:recordSize]); ok && h.fits(r) {
			records = append(records, r)
		}
	}
	return h, records, nil
}

func parseHeader(data []byte) (header, []byte, error) {
	if len(data) < preludeSize || !bytes.HasPrefix(data, []byte(magic)) {
		return header{}, nil, errSidecar
	}
	size := binary.LittleEndian.Uint32(data[len(magic):])
	sum := binary.LittleEndian.Uint32(data[len(magic)+4:])
	data = data[preludeSize:]
	if size > maxHeader || int(size) > len(data) || crc32.Checksum(data[:size], castagnoli) != sum {
		return header{}, nil, errSidecar
	}
	var h header
	if err := json.Unmarshal(data[:size], &h); err != nil {
		return header{}, nil, fmt.Errorf("%w: %w", errSidecar, err)
	}
	return h, data[size:], nil
}
