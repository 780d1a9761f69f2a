package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Create creates a file in the directory, for the caller to write and to give to
// Promote. It replaces the file of an earlier Create.
func (s *Store) Create() (*os.File, error) {
	return s.create(outputName, 0o600)
}

// Discard removes the file of Create.
func (s *Store) Discard() error { return s.root.RemoveAll(outputName) }

// Promote moves a file of Create to path, and replaces the file there, if any. The
// output appears there complete or not at all, also after a loss of power. It gets
// the permissions that the umask gives to a new file.
func (s *Store) Promote(f *os.File, path string) error {
	return s.promote(f, outputName, path)
}

// PromotePart does the same with the part file, after it has cut it to size bytes.
func (s *Store) PromotePart(path string, size int64) error {
	if err := s.part.Truncate(size); err != nil {
		return err
	}
	return s.promote(s.part, s.header.Part, path)
}

func (s *Store) promote(f *os.File, name, path string) error {
	if err := s.holds(name, f); err != nil {
		return err
	}
	if err := s.publish(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := renameOut(s.root, name, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Replaceable reports whether Promote may replace a file at path. In a directory with
// the sticky bit, such as /tmp, only the owner of the file, the owner of the
// directory and root may (rename(2), EPERM).
func Replaceable(path string) bool {
	file, err := os.Lstat(path)
	if err != nil {
		return true
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil || dir.Mode()&fs.ModeSticky == 0 {
		return true
	}
	return os.Geteuid() == 0 || owned(file) || owned(dir)
}

// holds fails if f is no longer the file by this name in the directory.
func (s *Store) holds(name string, f *os.File) error {
	same, err := names(s.root, name, f)
	if err == nil && !same {
		err = fmt.Errorf("another process removed or replaced %s during the pull: run the same command again", filepath.Join(s.root.Name(), name))
	}
	return err
}

// publish gives f the permissions that a new file of the user has. To read the umask
// means to change it for all threads, so publish creates a file to see them.
func (s *Store) publish(f *os.File) error {
	probe, err := s.create(probeName, 0o666)
	if err != nil {
		return err
	}
	defer s.root.Remove(probeName)
	defer probe.Close()
	want, err := probe.Stat()
	if err != nil {
		return err
	}
	have, err := f.Stat()
	if err != nil || have.Mode() == want.Mode() {
		return err // FAT would refuse even a change that changes nothing
	}
	return f.Chmod(want.Mode().Perm())
}

// Remove removes the directory, and closes all its files except the part file: the
// readers of Blob.Section work until Close.
func (s *Store) Remove() error {
	return errors.Join(s.remove(), s.release())
}

func (s *Store) remove() error {
	// The sidecar goes first: without it the rest means nothing.
	for _, name := range slices.Concat([]string{sidecarName}, leftovers, []string{lockName}) {
		if err := s.root.RemoveAll(name); err != nil {
			return err
		}
	}
	err := os.Remove(s.root.Name())
	if _, taken := s.root.Lstat(lockName); taken == nil || errors.Is(err, fs.ErrNotExist) {
		return nil // another run has come since the lock was removed, and may be gone again
	}
	return err
}

// Tidy removes the directory of the output at path if it has bytes only of blobs with
// these digests, which the output at path has as well: a crash between Promote and
// Remove leaves such a directory. If it has bytes of other blobs, or if another
// process has it open, it stays. It removes the directories with the names others in it,
// which callers keep there.
func Tidy(path string, blobs []string, others ...string) error {
	if _, err := os.Lstat(Dir(path)); err != nil {
		return nil
	}
	root, lock, err := enter(Dir(path))
	if _, locked := errors.AsType[*LockedError](err); locked {
		return nil
	}
	if err != nil {
		return err
	}
	s := &Store{root: root, lock: lock}
	wanted, err := s.wanted(blobs)
	if err == nil && !wanted {
		for _, name := range others {
			err = errors.Join(err, root.RemoveAll(name))
		}
		err = errors.Join(err, s.Remove())
	}
	return errors.Join(err, s.Close())
}

// wanted reports whether the directory has bytes of other blobs than these.
func (s *Store) wanted(blobs []string) (bool, error) {
	old, err := s.loadSidecar()
	if err != nil || !slices.Contains(partNames, old.Part) {
		return false, err
	}
	if _, err := s.root.Lstat(old.Part); errors.Is(err, fs.ErrNotExist) {
		return false, nil // it became the output
	}
	return slices.ContainsFunc(old.Blobs, func(b Placement) bool { return !slices.Contains(blobs, b.Digest) }), nil
}
