package state

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"sync"

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
	maxSidecar = 256 << 20 // eight million records, two TiB of blobs
	maxSources = math.MaxUint16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header describes the part file.
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

func (h *header) append(b []byte) ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(text, castagnoli))
	return append(b, text...), nil
}

// recordKind says what a record means.
type recordKind uint16

const (
	kindHave   recordKind = iota + 1 // the bytes are on disk, with this checksum
	kindForget                       // the bytes are missing, whatever earlier records say
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

// parseRecord reads one record; ok reports whether its checksum is right.
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

// fits reports whether r covers bytes of a blob in the header.
func (h *header) fits(r record) bool {
	if int64(r.blob) >= int64(len(h.Blobs)) || int(r.source) >= len(h.Sources) {
		return false
	}
	b, size := r.bytes, h.Blobs[r.blob].Size
	return b.Start >= 0 && b.Start < b.End && b.End <= size && b.Len() <= MaxRecord
}

var errSidecar = errors.New("not a sidecar of this version")

// parseLog reads a sidecar: its header, and the records of each blob. It leaves out
// records that are damaged or do not fit the header. If the header is invalid, the
// error is errSidecar; other errors are those of r.
func parseLog(r io.Reader) (header, []haves, error) {
	in := bufio.NewReaderSize(io.LimitReader(r, maxSidecar), 64<<10)
	h, err := parseHeader(in)
	if err != nil {
		return header{}, nil, err
	}
	records := make([]haves, len(h.Blobs))
	for {
		var b [recordSize]byte
		switch _, err := io.ReadFull(in, b[:]); {
		case cutShort(err):
			return h, records, nil
		case err != nil:
			return header{}, nil, err
		}
		if r, ok := parseRecord(b[:]); ok && h.fits(r) {
			records[r.blob].replay(r)
		}
	}
}

func parseHeader(in io.Reader) (h header, err error) {
	var prelude [preludeSize]byte
	if err := readFull(in, prelude[:]); err != nil {
		return header{}, err
	}
	size := binary.LittleEndian.Uint32(prelude[len(magic):])
	if string(prelude[:len(magic)]) != magic || size > maxHeader {
		return header{}, errSidecar
	}
	text := make([]byte, size)
	if err := readFull(in, text); err != nil {
		return header{}, err
	}
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(prelude[len(magic)+4:]) {
		return header{}, errSidecar
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return header{}, fmt.Errorf("%w: %w", errSidecar, err)
	}
	absurd := func(p Placement) bool { return p.Size < 0 || p.Offset < 0 || p.Offset > math.MaxInt64-p.Size }
	if len(h.Sources) > maxSources || slices.ContainsFunc(h.Blobs, absurd) {
		return header{}, errSidecar
	}
	return h, nil
}

// readFull fills b; a sidecar that ends before is invalid.
func readFull(in io.Reader, b []byte) error {
	_, err := io.ReadFull(in, b)
	if cutShort(err) {
		return errSidecar
	}
	return err
}

func cutShort(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// journal is the sidecar, open for more records.
type journal struct {
	mu  sync.Mutex
	f   *os.File
	end int64 // where the next record belongs
}

// append adds a record. If only a part of it could be written (on a full disk), the
// next record overwrites it, so that each record has a fixed place.
func (j *journal) append(r record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.f.WriteAt(r.append(make([]byte, 0, recordSize)), j.end); err != nil {
		return err
	}
	j.end += recordSize
	return nil
}
