package registrytest

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"time"
)

// Compression is how layers are packed.
type Compression string

// The compressions. Nothing is made smaller: gzip and zstd both have blocks
// that hold bytes as they are, and only those can be generated at any offset.
const (
	Gzip         Compression = "gzip"
	Zstd         Compression = "zstd"
	Uncompressed Compression = "uncompressed"
)

// epoch is the time on every file and config, so that content depends on
// nothing but its options.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	tarUnit    = 512
	tarTrailer = 2 * tarUnit
)

// tarball is a tar of one file.
func tarball(name string, mode int64, content *io.SectionReader) *io.SectionReader {
	header := tarHeader(name, mode, content.Size())
	padding := -content.Size() & (tarUnit - 1)
	return newConcat(bytesSection(header), content, bytesSection(make([]byte, padding+tarTrailer)))
}

// tarHeader is one block, or three where the size needs a PAX record.
func tarHeader(name string, mode, size int64) []byte {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: epoch,
	})
	if err != nil {
		panic("registrytest: tar header of " + name + ": " + err.Error())
	}
	return b.Bytes()
}

// noiseTar is a tar of exactly size bytes (a multiple of 512) with one file
// that does not compress.
func noiseTar(name string, seed uint64, size int64) *io.SectionReader {
	const mode = 0o644
	content := size - tarTrailer - int64(len(tarHeader(name, mode, size)))
	return tarball(name, mode, section(newNoise(seed), max(content, 0)))
}

// pack compresses a tar and adds padding bytes that decoders skip.
func (c Compression) pack(tar *io.SectionReader, padding int64) *io.SectionReader {
	switch c {
	case Uncompressed:
		return tar
	case Zstd:
		return newConcat(bytesSection(zstdHead), zstdBlocks(tar), bytesSection(zstdTail(padding)))
	default:
		sum := crc32.NewIEEE()
		copyAll(sum, tar)
		return newConcat(bytesSection(gzipHead(padding)), gzipBlocks(tar), bytesSection(gzipTail(sum.Sum32(), tar.Size())))
	}
}

// fit returns the size of the largest tar, at least an empty one, whose blob
// has at most size bytes, and the padding that is then missing.
func (c Compression) fit(size int64) (tarSize, padding int64) {
	fixed, block, header := c.overhead()
	room := max(size-fixed, 0)
	blocks := (room + block + header - 1) / (block + header)
	tarSize = max((room-blocks*header)&^(tarUnit-1), tarUnit+tarTrailer)
	if c == Uncompressed {
		return tarSize, 0
	}
	blocks = (tarSize + block - 1) / block
	return tarSize, max(size-fixed-tarSize-blocks*header, 0)
}

// overhead is what a compression adds: once, and for each block of payload.
func (c Compression) overhead() (fixed, block, header int64) {
	switch c {
	case Uncompressed:
		return 0, 1 << 62, 0
	case Zstd:
		return int64(len(zstdHead) + len(zstdTail(0))), zstdBlock, 3
	default:
		return int64(len(gzipHead(0)) + len(gzipTail(0, 0))), gzipBlock, 5
	}
}

// RFC 1951, section 3.2.4: a stored block holds at most 65,535 bytes.
const gzipBlock = 65535

// gzipHead has an extra field (RFC 1952, section 2.3.1.1) of padding bytes.
func gzipHead(padding int64) []byte {
	head := []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff}
	head = binary.LittleEndian.AppendUint16(head, uint16(padding))
	return append(head, make([]byte, padding)...)
}

func gzipBlocks(payload *io.SectionReader) *io.SectionReader {
	return newFramed(payload, gzipBlock, func(n uint32, last bool) []byte {
		head := []byte{0, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)}
		if last {
			head[0] = 1
		}
		return head
	})
}

func gzipTail(sum uint32, size int64) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, sum), uint32(size))
}

// A raw block of zstd (RFC 8878, section 3.1.1.2) holds at most 128 KiB.
const zstdBlock = 128 << 10

// zstdHead says: magic, no checksum, no content size, a window of 128 KiB.
var zstdHead = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38}

func zstdBlocks(payload *io.SectionReader) *io.SectionReader {
	return newFramed(payload, zstdBlock, func(n uint32, last bool) []byte {
		n <<= 3
		if last {
			n |= 1
		}
		return []byte{byte(n), byte(n >> 8), byte(n >> 16)}
	})
}

// zstdTail is a skippable frame (RFC 8878, section 3.1.2) of padding bytes.
func zstdTail(padding int64) []byte {
	tail := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(padding))
	return append(tail, make([]byte, padding)...)
}

// framed is a payload cut into blocks, each behind a header.
type framed struct {
	payload *io.SectionReader
	block   int64
	header  func(n uint32, last bool) []byte
	width   int64 // of a header
}

func newFramed(payload *io.SectionReader, block int64, header func(uint32, bool) []byte) *io.SectionReader {
	f := framed{payload: payload, block: block, header: header, width: int64(len(header(0, false)))}
	blocks := (payload.Size() + block - 1) / block
	return section(f, payload.Size()+blocks*f.width)
}

// ReadAt is asked for no more than there is, by the section around it.
func (f framed) ReadAt(p []byte, off int64) (int, error) {
	stride := f.width + f.block
	done := 0
	for done < len(p) {
		start, at := off/stride*f.block, off%stride
		length := min(f.block, f.payload.Size()-start)
		var n int
		if at < f.width {
			n = copy(p[done:], f.header(uint32(length), start+length == f.payload.Size())[at:])
		} else {
			at -= f.width
			want := min(int64(len(p)-done), length-at)
			var err error
			if n, err = f.payload.ReadAt(p[done:done+int(want)], start+at); n < int(want) {
				return done + n, err
			}
		}
		done += n
		off += int64(n)
	}
	return done, nil
}

func bytesSection(b []byte) *io.SectionReader {
	return section(bytes.NewReader(b), int64(len(b)))
}
