package archive

import (
	"context"
	"io"
	"os"
)

const copyBuffer = 256 << 10

// copySection writes r to w, looking at ctx between blocks. Between files the kernel copies.
func copySection(ctx context.Context, w io.Writer, r *io.SectionReader) error {
	outer, at, size := r.Outer()
	src, srcOK := outer.(*os.File)
	if dst, ok := w.(*os.File); ok && srcOK {
		done := copyFileRange(ctx, dst, src, at, size)
		r = io.NewSectionReader(src, at+done, size-done)
	}
	n, err := copyStream(ctx, w, r)
	if err == nil && n < r.Size() {
		return io.ErrUnexpectedEOF // the file has shrunk
	}
	return err
}

// copyStream copies until r ends, looking at ctx between blocks.
func copyStream(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	// The wrappers hide ReadFrom and WriteTo, which would copy in one go.
	return io.CopyBuffer(struct{ io.Writer }{w}, contextReader{ctx, r}, make([]byte, copyBuffer))
}

// contextReader is its reader until ctx is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
