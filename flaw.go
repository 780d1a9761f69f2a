package segpull

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"io"
	"math"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/verify"
)

const (
	// flawless is where a stream breaks off that does not.
	flawless = math.MaxInt64

	// maxExpansion is how many times a layer's size is decompressed at most:
	// what a liar sent may be a bomb.
	maxExpansion = 64

	// maxWindow is the memory for decompressing, in bytes: enough for layers as
	// tools make them. What asks for more is not looked at.
	maxWindow = 8 << 20
)

// flaw returns where a layer turns out not to be one: the offset in src, of
// size bytes of which it looks at those before end, at which decompressing it,
// or reading the tar in it, fails. The first wrong byte is there or, most often by less than a block of the
// compression, before. Not every wrong byte shows, and a blob may be no layer:
// a flaw is a hint, and its absence no proof.
func flaw(ctx context.Context, src verify.Source, size, end int64) (int64, error) {
	s := &stream{ctx: ctx, src: src, size: size, end: end, buf: make([]byte, verify.MaxRun)}
	r := bufio.NewReaderSize(s, window)
	sound := readLayer(r, maxExpansion*size)
	switch {
	case s.err != nil:
		return 0, s.err
	case sound, s.cut:
		return flawless, nil
	}
	return s.off - int64(len(s.rest)) - int64(r.Buffered()), nil
}

// readLayer says whether r has a layer, as far as most bytes of the tar go.
func readLayer(r *bufio.Reader, most int64) bool {
	z, err := archive.Decompress(r, maxWindow)
	if err != nil {
		return false
	}
	defer z.Close()
	content := &io.LimitedReader{R: z, N: most}
	files := tar.NewReader(content)
	for err == nil {
		_, err = files.Next()
	}
	if err == io.EOF { // of the tar; the checksum of the stream comes after it
		_, err = io.Copy(io.Discard, content)
	}
	return err == nil || content.N <= 0 || errors.Is(err, archive.ErrWindow)
}

// stream reads a verify.Source in order.
type stream struct {
	ctx  context.Context
	src  verify.Source
	size int64
	end  int64 // of what is read
	cut  bool  // more was asked for than that
	off  int64
	buf  []byte
	rest []byte // of buf, not read yet
	err  error  // other than the end
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.off == s.end {
			s.cut = s.end < s.size
			return 0, io.EOF
		}
		if err := s.fill(); err != nil {
			s.err = err
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) fill() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if err := s.src.Wait(s.ctx, s.off); err != nil {
		return err
	}
	n, err := s.src.Read(s.off, s.buf)
	s.rest = s.buf[:min(int64(n), s.end-s.off)]
	s.off += int64(len(s.rest))
	return err
}
