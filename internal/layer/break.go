package layer

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"math"
)

const (
	// Unbroken is the result of FindBreak for a stream without a break.
	Unbroken = math.MaxInt64

	// maxExpansion is the most times its compressed size that a layer may have: wrong
	// bytes may be a decompression bomb.
	maxExpansion = 64

	// maxWindow is the memory for decompressing, in bytes: enough for the layers of
	// common tools. FindBreak finds no break in layers that need more.
	maxWindow = 8 << 20

	readSize = 64 << 10
)

var errCut = errors.New("the rest of the layer is not read")

// FindBreak returns the offset in a layer of size bytes at which decompressing it, or
// reading its tar, fails, or Unbroken. The first wrong byte is at that offset or before
// it, mostly by less than a block of the compression. If r has only the first bytes of
// the layer, that is no break. The error is one of r, other than io.EOF.
func FindBreak(r io.Reader, size int64) (at int64, err error) {
	s := &source{r: r, size: size}
	buffered := bufio.NewReaderSize(s, readSize)
	sound := sound(buffered, maxExpansion*size)
	switch {
	case s.err == errCut:
		return Unbroken, nil
	case s.err != nil:
		return 0, s.err
	case sound:
		return Unbroken, nil
	}
	return s.off - int64(buffered.Buffered()), nil
}

// sound reports whether r is a layer, up to limit bytes of the tar.
func sound(r *bufio.Reader, limit int64) bool {
	z, err := Decompress(r, maxWindow)
	if err != nil {
		return false
	}
	defer z.Close()
	content := &io.LimitedReader{R: z, N: limit}
	files := tar.NewReader(content)
	for err == nil {
		_, err = files.Next()
	}
	if err == io.EOF { // of the tar; the checksum of the stream comes after it
		_, err = io.Copy(io.Discard, content)
	}
	return err == nil || content.N <= 0 || errors.Is(err, ErrWindow)
}

// source counts the bytes read from r, and keeps its error.
type source struct {
	r         io.Reader
	off, size int64
	err       error // errCut if r ends before size; not io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.off += int64(n)
	if err == io.EOF && s.off < s.size {
		err = errCut
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
