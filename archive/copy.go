package archive

import (
	"context"
	"io"
	"os"
)

const copyBuffer = 256 << 10

// copySection writes r to w, and checks ctx between blocks. The kernel copies from file to file.
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

// copyStream copies until r ends, and checks ctx between blocks.
func copyStream(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	// The wrappers hide ReadFrom and WriteTo, which would copy without a look at ctx.
	return io.CopyBuffer(struct{ io.Writer }{w}, contextReader{ctx, r}, make([]byte, copyBuffer))
}

// contextReader reads from r until ctx ends.
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
