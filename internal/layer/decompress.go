package layer

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// ErrWindow is the error of a stream that needs a larger window than Decompress allows.
var ErrWindow = zstd.ErrWindowSizeExceeded

// Decompress decompresses r, gzip, zstd or nothing, with a window of at most window
// bytes. As in Docker, the first bytes show the compression, since media types have been
// wrong. Decompress reads no more of r than necessary.
func Decompress(r *bufio.Reader, window uint64) (io.ReadCloser, error) {
	magic, err := r.Peek(4)
	if err != nil && err != io.EOF { // a shorter layer is not compressed
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b, 0x08}): // RFC 1952, 2.3.1
		return gzip.NewReader(r)
	case isZstd(magic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// isZstd also accepts a skippable frame at the start, which pzstd writes
// (RFC 8878, 3.1.1 and 3.1.2).
func isZstd(magic []byte) bool {
	return bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}
