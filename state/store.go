package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/segpull/segpull/segment"
)

// Placement is the offset of a blob in the part file.
type Placement struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`   // bytes
	Offset int64  `json:"offset"` // bytes
}

// Store is a directory that holds the unfinished blobs of one output.
type Store struct {
	// Damaged is called for bytes that were recorded but are not what they
	// should be, and that are now missing. Set it before a Blob is used; it is
	// called from many goroutines, and may not use the Blob itself.
	Damaged func(blob int, r segment.Range)

	root    *os.Root
	lock    *os.File
	part    *os.File
	log     journal
	header  header
	sources []uint16 // where this run's sources stand in header.Sources
	blobs   []*Blob
}

// Open opens the directory of the output at path, and makes it where it does not
// exist, for the given blobs, which may not overlap. It takes over what an earlier run
// left of these blobs, at any offset of its part file. sources are
// the names that the source of Blob.Write indexes.
//
// The error is a *LockedError while another process has the directory open, and the
// cause of ctx if that ends while Open copies bytes to their new offsets.
func Open(ctx context.Context, path string, blobs []Placement, sources []string) (*Store, error) {
	root, lock, err := enter(Dir(path))
	if err != nil {
		return nil, err
	}
	s := &Store{
		Damaged: func(int, segment.Range) {},
		root:    root,
		lock:    lock,
		header:  header{Blobs: blobs},
	}
	for i, place := range blobs {
		s.blobs = append(s.blobs, &Blob{store: s, index: i, place: place})
	}
	for _, name := range sources {
		s.sources = append(s.sources, s.header.source(name))
	}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	if err := s.inherit(ctx, path); err != nil {
		return err
	}
	if len(s.header.Sources) > maxSources {
		return fmt.Errorf("%s: more than %d sources have served this image: remove the directory to start again", s.root.Name(), maxSources)
	}
	if err := s.begin(); err != nil {
		return err
	}
	return s.sweep(s.header.Part)
}

// begin writes the sidecar again, with what is known, and keeps it open for
// more. Until its name is in place, the earlier one holds.
func (s *Store) begin() (err error) {
	text, err := s.header.append(nil)
	if err != nil {
		return err
	}
	for i, b := range s.blobs {
		for _, h := range b.records {
			text = record{kindHave, h.source, uint32(i), h.Range, h.sum}.append(text)
		}
	}
	if s.log.f, err = s.create(freshName, 0o600); err != nil {
		return err
	}
	if _, err := s.log.f.Write(text); err != nil {
		return err
	}
	s.log.end = int64(len(text))
	if err := s.log.f.Sync(); err != nil {
		return err
	}
	if info, err := s.root.Lstat(sidecarName); err == nil && info.IsDir() {
		if err := s.root.RemoveAll(sidecarName); err != nil {
			return err
		}
	}
	if err := s.root.Rename(freshName, sidecarName); err != nil {
		return err
	}
	return syncDir(s.root.Name())
}

// sweep removes what is of no use beside the part file: another one that was
// copied from, or not to its end, and what a crash left of an assembly.
func (s *Store) sweep(part string) error {
	for _, name := range leftovers {
		if name == part {
			continue
		}
		if err := s.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// Blob returns the i-th of the blobs that the Store was opened for.
func (s *Store) Blob(i int) *Blob { return s.blobs[i] }

// Write is Blob(blob).Write.
func (s *Store) Write(blob int, off int64, p []byte, source int) error {
	return s.blobs[blob].Write(off, p, source)
}

// Part is the part file, for what is between the blobs.
func (s *Store) Part() io.WriterAt { return s.part }

// Sync writes all bytes so far to the disk, so that they survive a loss of power.
// It fails if the part file was removed: further writes would be useless.
func (s *Store) Sync() error {
	if err := s.holds(s.header.Part, s.part); err != nil {
		return err
	}
	return errors.Join(s.part.Sync(), s.log.f.Sync())
}

// Close unlocks the directory, which stays as it is.
func (s *Store) Close() error {
	err := s.release()
	if s.part != nil {
		err = errors.Join(err, s.part.Close())
	}
	return err
}

// release closes all files except the part file.
func (s *Store) release() error {
	if s.lock == nil {
		return nil // Remove did
	}
	errs := []error{unlock(s.lock), s.lock.Close(), s.root.Close()}
	if s.log.f != nil {
		errs = append(errs, s.log.f.Close())
	}
	s.lock = nil
	return errors.Join(errs...)
}
