package segpull

import (
	"context"
	"io"

	"github.com/segpull/segpull/internal/layer"
	"github.com/segpull/segpull/verify"
)

// flawless is where a stream breaks off that does not.
const flawless = layer.Unbroken

// flaw returns where a layer of size bytes, of which it reads those before
// end, turns out not to be one.
func flaw(ctx context.Context, src verify.Content, size, end int64) (int64, error) {
	return layer.FindBreak(&stream{ctx: ctx, src: src, size: size, end: end, buf: make([]byte, verify.MaxRun)}, size)
}

// stream reads a verify.Content in order.
type stream struct {
	ctx  context.Context
	src  verify.Content
	size int64
	end  int64 // of what is read
	off  int64
	buf  []byte
	rest []byte // of buf, not read yet
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.off == s.end {
			if s.end < s.size {
				return 0, layer.ErrCut
			}
			return 0, io.EOF
		}
		if err := s.fill(); err != nil {
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
