package layer

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"math"
)

const (
	// Unbroken is the break of a stream that has none.
	Unbroken = math.MaxInt64

	// maxExpansion is how many times its size a layer is decompressed at most:
	// wrong bytes may be a decompression bomb.
	maxExpansion = 64

	// maxWindow is the memory for decompressing, in bytes: enough for layers as
	// tools make them. FindBreak does not look at layers that need more.
	maxWindow = 8 << 20

	readSize = 64 << 10
)

// ErrCut is what the reader of FindBreak returns where the layer goes on but is
// not to be read any further.
var ErrCut = errors.New("the rest of the layer is not read")

// FindBreak returns the offset in a layer of size bytes at which decompressing
// it, or reading the tar in it, fails, or Unbroken. The first wrong byte is
// there or, most often by less than a block of the compression, before. An
// error of r other than io.EOF and ErrCut is returned.
func FindBreak(r io.Reader, size int64) (at int64, err error) {
	s := &source{r: r}
	buffered := bufio.NewReaderSize(s, readSize)
	sound := sound(buffered, maxExpansion*size)
	switch {
	case s.err == ErrCut:
		return Unbroken, nil
	case s.err != nil:
		return 0, s.err
	case sound:
		return Unbroken, nil
	}
	return s.off - int64(buffered.Buffered()), nil
}

// sound reports whether r is a layer, as far as limit bytes of the tar go.
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
	r   io.Reader
	off int64
	err error // other than io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.off += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
