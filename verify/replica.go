package verify

import (
	"context"
	"os"
	"sync/atomic"

	"github.com/segpull/segpull/segment"
)

// replica is what one source has of a blob: the bytes that it served, which are
// on disk, and others that it was asked for later, which are in the scratch
// file. So no source is asked for the same bytes twice, but to see whether it
// sends the same.
type replica struct {
	source  *source
	index   int // of the source
	blob    Blob
	scratch *scratch
	base    int64       // where the blob begins in the scratch file
	fetched segment.Set // which bytes are in the scratch file
	failure error       // why the source sends nothing for the time being
}

func (r *replica) name() string { return r.source.source.Name() }

// missing returns the bytes within a range, at most so many, that the source
// neither served nor was asked for later, and that another one served.
func (r *replica) missing(within segment.Range, most int64) []segment.Range {
	var found segment.Set
	for _, run := range r.blob.Runs() {
		if run.Source == r.name() {
			continue
		}
		for _, gap := range r.fetched.Without(run.Intersect(within)) {
			gap.End = min(gap.End, gap.Start+most-found.Len())
			found.Add(gap)
		}
	}
	return found.Ranges()
}

// keep puts bytes of the source into the scratch file.
func (r *replica) keep(off int64, p []byte) error {
	if err := r.scratch.write(p, r.base+off); err != nil {
		return err
	}
	r.fetched.Add(segment.Range{Start: off, End: off + int64(len(p))})
	return nil
}

// read reads bytes that are in the scratch file.
func (r *replica) read(off int64, p []byte) (int, error) {
	return r.scratch.file.ReadAt(p, r.base+off)
}

// scratch is a sparse file with what sources sent a second time. Its bytes
// belong to the check that has the turn.
type scratch struct {
	create func() (*os.File, error)
	file   *os.File
	end    atomic.Int64 // of what is reserved
}

// reserve returns the start of a part of the file that nobody else uses.
func (s *scratch) reserve(n int64) int64 { return s.end.Add(n) - n }

func (s *scratch) write(p []byte, off int64) error {
	if s.file == nil {
		f, err := s.create()
		if err != nil {
			return err
		}
		s.file = f
	}
	_, err := s.file.WriteAt(p, off)
	return err
}

// close frees the disk, also while the file has a name.
func (s *scratch) close() {
	if s.file != nil {
		s.file.Truncate(0)
		s.file.Close()
	}
}

// readRange reads all of r, which should be short. It is nil where the disk has
// damaged some of it, which is no source's fault.
func readRange(src Content, r segment.Range) (p []byte, err error) {
	buf := buffers.Get().(*[MaxRun]byte)
	defer buffers.Put(buf)
	for at := r.Start; at < r.End; {
		n, err := src.Read(at, buf[:])
		if n == 0 || err != nil {
			return nil, err
		}
		n = int(min(int64(n), r.End-at))
		p = append(p, buf[:n]...)
		at += int64(n)
	}
	return p, nil
}

// reader reads a Content in order, up to end.
type reader struct {
	ctx   context.Context
	src   Content
	off   int64
	end   int64
	atEnd error // what Read returns there
	buf   []byte
	rest  []byte // of buf, not read yet
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.off == r.end {
			return 0, r.atEnd
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) fill() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if err := r.src.Wait(r.ctx, r.off); err != nil {
		return err
	}
	n, err := r.src.Read(r.off, r.buf)
	r.rest = r.buf[:min(int64(n), r.end-r.off)]
	r.off += int64(len(r.rest))
	return err
}
