package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// past is what an earlier run left.
type past struct {
	header
	records []haves  // of each of its blobs
	bytes   *os.File // the file with the blobs: part file or output; nil if it does not exist
	ours    bool     // bytes is a part file that we may write to
}

// inherit takes over the bytes of our blobs that an earlier run left.
func (s *Store) inherit(ctx context.Context, path string) error {
	old, err := s.load(path)
	if err != nil {
		return err
	}
	// Before the first write: leftovers may fill the disk.
	if err := s.sweep(old.Part); err != nil {
		return err
	}
	if old.ours && slices.Equal(old.Blobs, s.header.Blobs) {
		s.adopt(old)
		return nil
	}
	if old.bytes != nil {
		defer old.bytes.Close()
	}
	return s.copyToNewPart(ctx, old)
}

// load reads what an earlier run left.
func (s *Store) load(path string) (old past, err error) {
	if old, err = s.loadSidecar(); err != nil || old.Part == "" {
		return old, err
	}
	if slices.Contains(partNames, old.Part) {
		if old.bytes, err = openPlain(s.root, old.Part, os.O_RDWR); err != nil {
			return past{}, err
		}
	}
	if old.bytes == nil {
		// That run may have ended just after its part file became the output.
		old.bytes, err = OpenOutput(path)
		return old, err
	}
	// A file with other names (hard links) is not only ours.
	info, err := old.bytes.Stat()
	old.ours = err == nil && links(info) == 1
	return old, nil
}

// loadSidecar reads the records of an earlier run. An invalid sidecar counts as
// empty; one that can't be read now is an error, so that it is not lost.
func (s *Store) loadSidecar() (old past, err error) {
	f, err := openPlain(s.root, sidecarName, os.O_RDONLY)
	if f == nil {
		return past{}, err
	}
	defer f.Close()
	old.header, old.records, err = parseLog(f)
	if errors.Is(err, errSidecar) {
		return past{}, nil
	}
	return old, err
}

// OpenOutput opens the file at path for reading. It returns nil if there is none, or
// if it is not a regular file that belongs to the user: another user could change
// it. It follows no link.
func OpenOutput(path string) (*os.File, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openPlain(root, filepath.Base(path), os.O_RDONLY)
	if f == nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !owned(info) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// adopt takes over the part file of an earlier run, and its records.
func (s *Store) adopt(old past) {
	s.header.Part, s.part = old.Part, old.bytes
	rename := s.renamer(old.Sources)
	for i, b := range s.blobs {
		for _, h := range old.records[i] {
			b.insert(rename(h))
		}
	}
}

// renamer translates records from an earlier run's list of sources to ours,
// which lists only those that records still name.
func (s *Store) renamer(sources []string) func(have) have {
	known := make(map[uint16]uint16)
	return func(h have) have {
		source, ok := known[h.source]
		if !ok {
			source = s.header.source(sources[h.source])
			known[h.source] = source
		}
		h.source = source
		return h
	}
}

// copyToNewPart creates a new part file, and copies to it the bytes of our blobs that
// an earlier run has in another file.
func (s *Store) copyToNewPart(ctx context.Context, old past) (err error) {
	if err := s.checkSpace(old); err != nil {
		return err
	}
	s.header.Part = partNames[0]
	if old.Part == partNames[0] {
		s.header.Part = partNames[1]
	}
	if s.part, err = s.create(s.header.Part, 0o600); err != nil || old.bytes == nil {
		return err
	}
	rename := s.renamer(old.Sources)
	err = s.taken(old, func(b *Blob, place Placement, h have) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return b.move(old.bytes, place, rename(h))
	})
	if err == nil {
		err = s.part.Sync() // the earlier part file is removed soon
	}
	if err != nil {
		return errors.Join(err, s.root.Remove(s.header.Part))
	}
	return nil
}

// checkSpace fails before anything is copied where the copy would not fit.
func (s *Store) checkSpace(old past) error {
	free, _, known := spaceOf(s.lock)
	if !known || old.bytes == nil {
		return nil
	}
	need := int64(0)
	_ = s.taken(old, func(_ *Blob, _ Placement, h have) error { need += h.Len(); return nil })
	if need <= free {
		return nil
	}
	const mib = 1 << 20
	return fmt.Errorf("%s needs %.1f MiB more, because a change of format copies what has arrived, and has %.1f MiB free: %w",
		s.root.Name(), float64(need)/mib, float64(free)/mib, syscall.ENOSPC)
}

// taken calls fn for each record of an earlier run whose blob, there at place, is our
// blob b.
func (s *Store) taken(old past, fn func(b *Blob, place Placement, h have) error) error {
	for i, place := range old.Blobs {
		b := s.same(place)
		if b == nil {
			continue
		}
		for _, h := range old.records[i] {
			if err := fn(b, place, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// same returns our blob that an earlier run had at another place, or nil.
func (s *Store) same(old Placement) *Blob {
	for _, b := range s.blobs {
		if b.place.Digest == old.Digest && b.place.Size == old.Size {
			return b
		}
	}
	return nil
}

// move copies the bytes of a record from another file, where the blob is at the place
// old. It leaves out bytes that are damaged or not readable.
func (b *Blob) move(from *os.File, old Placement, h have) error {
	if len(b.held.Within(h.Range)) > 0 {
		return nil // the earlier part file had the blob twice
	}
	buf := buffers.Get().(*[MaxRecord]byte)
	defer buffers.Put(buf)
	p := buf[:h.Len()]
	if ok, err := h.read(from, old, p); err != nil || !ok {
		return nil
	}
	if _, err := b.store.part.WriteAt(p, b.place.Offset+h.Start); err != nil {
		return err
	}
	b.insert(h)
	return nil
}
