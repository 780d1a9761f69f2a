package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/segpull/segpull/segment"
)

// Placement says which bytes of the part file are those of a blob.
type Placement struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`   // bytes
	Offset int64  `json:"offset"` // bytes
}

// Store is a directory with the unfinished blobs of one output.
type Store struct {
	// Damaged reports recorded bytes of the i-th blob whose checksum is wrong; they
	// are missing from now on. Set it before the first use of a Blob. Several
	// goroutines may call it at the same time, and it must not use the Blob.
	Damaged func(blob int, r segment.Range)

	root     *os.Root
	lock     *os.File
	part     *os.File
	log      journal
	header   header
	sources  []uint16 // indices of this run's sources in header.Sources
	blobs    []*Blob
	newNames atomic.Bool  // Sync has to sync the directory too
	unsynced atomic.Int64 // bytes written to the part file since the last Sync
}

// Open opens the directory of the output at path, see Dir, for the given blobs,
// which must not overlap, and creates it if it does not exist. It takes over the
// bytes of these blobs that an earlier run has left, at any offset of its part file.
// The source of Blob.Write is an index of sources, which has names.
//
// While another process has the directory open, the error is a *LockedError. If the
// new part file does not fit on the disk, the error is syscall.ENOSPC. If ctx ends
// while Open copies bytes to new offsets, the error is its cause. Call Close, or
// Remove and Close.
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
	if err := s.sweep(s.header.Part); err != nil {
		return err
	}
	s.reserve()
	return nil
}

// reserve allocates the part file, if that fits on the disk. The kernel needs less time
// for each write then, and puts the blobs in order, however they arrive.
func (s *Store) reserve() {
	need, free, known := s.Space()
	if !known || need == 0 || need > free {
		return
	}
	info, err := s.part.Stat()
	if err == nil && allocate(s.part, s.end()) != nil {
		_ = s.part.Truncate(info.Size()) // no other file could use what it did allocate
	}
}

// end is the length of the part file up to the last byte of a blob.
func (s *Store) end() (end int64) {
	for _, b := range s.blobs {
		end = max(end, b.place.Offset+b.place.Size)
	}
	return end
}

// begin writes a new sidecar with the known records, and keeps it open for more.
// The earlier sidecar is valid until the new one has its name. Without records, there is
// nothing to lose before the first Sync, and the disk does not delay the first request.
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
	inherited := slices.ContainsFunc(s.blobs, func(b *Blob) bool { return len(b.records) > 0 })
	if inherited {
		if err := s.log.f.Sync(); err != nil {
			return err
		}
	}
	if info, err := s.root.Lstat(sidecarName); err == nil && info.IsDir() {
		if err := s.root.RemoveAll(sidecarName); err != nil {
			return err
		}
	}
	if err := s.root.Rename(freshName, sidecarName); err != nil {
		return err
	}
	if inherited {
		return syncDir(s.root.Name())
	}
	s.newNames.Store(true)
	return nil
}

// sweep removes what is useless beside the part file: another part file that was
// copied completely or in part, and what a crash left of an output.
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

// Blob returns the i-th of the blobs that were given to Open.
func (s *Store) Blob(i int) *Blob { return s.blobs[i] }

// Write calls Blob(blob).Write.
func (s *Store) Write(blob int, off int64, p []byte, source int) error {
	return s.blobs[blob].Write(off, p, source)
}

// Part returns the part file, for bytes that are between the blobs.
func (s *Store) Part() io.WriterAt { return s.part }

// Sync makes all bytes that were written so far survive a loss of power (fsync). It
// fails if another process has removed the part file: more writes would be useless.
func (s *Store) Sync() error {
	if err := s.holds(s.header.Part, s.part); err != nil {
		return err
	}
	s.unsynced.Store(0)
	err := errors.Join(s.part.Sync(), s.log.f.Sync())
	if s.newNames.Swap(false) {
		err = errors.Join(err, syncDir(s.root.Name()))
	}
	return err
}

const (
	littleToSync = 1 << 20  // bytes; a Sync of fewer takes no less time
	muchToSync   = 16 << 20 // bytes; a Sync of more makes others wait for the disk
)

// SyncDue reports whether enough bytes were written since the last Sync for another one:
// as many as are missing, but at least 1 MiB and at most 16. A caller that asks often
// enough leaves about 1 MiB to the Sync after the last byte.
func (s *Store) SyncDue() bool {
	return s.unsynced.Load() >= min(max(s.missing(), littleToSync), muchToSync)
}

// missing returns the number of bytes of the blobs that are not recorded.
func (s *Store) missing() (bytes int64) {
	for _, b := range s.blobs {
		bytes += b.Size() - b.Done()
	}
	return bytes
}

// Close closes the files and unlocks the directory. What it has stays for the next
// Open.
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
