package verify

import (
	"os"

	"github.com/segpull/segpull/segment"
)

// replica is what one source has of a blob: the bytes that it served, which are
// on disk, and others that it was asked for later, which are in the scratch
// file. So no source is asked for the same bytes twice, except to see whether it
// sends the same.
type replica struct {
	source  *source
	blob    Blob
	scratch *scratch
	base    int64       // where the blob begins in the scratch file
	fetched segment.Set // which bytes are in the scratch file
	failure error       // why the source sends nothing until the next round of steps
}

func (r *replica) name() string { return r.source.Name() }

// missing returns the bytes of ranges that the source neither served nor was
// asked for later, and that another one served, at most so many.
func (r *replica) missing(most int64, ranges ...segment.Range) []segment.Range {
	var found segment.Set
	for _, run := range r.blob.Runs() {
		if run.Source == r.name() {
			continue
		}
		for _, at := range ranges {
			for _, gap := range r.fetched.Without(run.Intersect(at)) {
				gap.End = min(gap.End, gap.Start+most-found.Len())
				found.Add(gap)
			}
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

// scratch is a sparse file with what sources sent a second time. It belongs to
// the check that has the turn.
type scratch struct {
	create func() (*os.File, error)
	file   *os.File // nil until the first write
	end    int64    // of what is reserved; guarded by Search.mu
}

func (s *scratch) write(p []byte, off int64) (err error) {
	if s.file == nil {
		if s.file, err = s.create(); err != nil {
			return err
		}
	}
	_, err = s.file.WriteAt(p, off)
	return err
}

// close frees the disk, also while the file has a name.
func (s *scratch) close() {
	if s.file != nil {
		s.file.Truncate(0)
		s.file.Close()
	}
}
