package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The names in a part directory; there may be no others.
const (
	lockName    = "lock"
	sidecarName = "state"
	freshName   = "state.new" // a sidecar that is being written
	outputName  = "output"    // what Create makes
	probeName   = "mode"      // see publish
)

// Two names for the part file: while one is copied from, the other is filled.
var partNames = []string{"part", "part2"}

// leftovers are the names that may be removed while the lock and the sidecar stay,
// except the one that the sidecar names.
var leftovers = append([]string{outputName, probeName, freshName}, partNames...)

// Dir returns the path of the directory for the output at path: path with the suffix
// .segpull.
func Dir(path string) string {
	return strings.TrimRight(path, string(filepath.Separator)) + ".segpull"
}

// LockedError says that another process, or another Store of this one, has the
// directory Dir open.
type LockedError struct{ Dir string }

// Error returns one line.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another segpull uses %s: wait until it ends, or choose another output", e.Dir)
}

// enter opens the directory, or creates it, and takes its lock. A run that ends at
// the same time may remove the directory in between.
func enter(dir string) (root *os.Root, lock *os.File, err error) {
	for range 100 {
		if root, err = openDir(dir); err == nil {
			if lock, err = acquire(root); err == nil {
				return root, lock, nil
			}
			root.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errRemade) {
			break
		}
	}
	return nil, nil, err
}

// openDir opens or creates the directory. If the name exists, it must be a directory
// of ours: in a directory of several users, another user could have created it.
func openDir(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	named, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() || !owned(named) {
		return nil, foreign(dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := claimDir(root, named); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// claimDir checks that root is the directory that was examined, and makes it
// unreadable for other users.
func claimDir(root *os.Root, named fs.FileInfo) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if !os.SameFile(named, info) {
		return errRemade
	}
	if info.Mode().Perm() == 0o700 {
		return nil
	}
	// An owner may always do this, except on a file system without permissions (FAT).
	if err := root.Chmod(".", 0o700); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

var errRemade = errors.New("another process removed and created the part directory again while segpull opened it: run the same command again")

func foreign(dir string) error {
	return fmt.Errorf("%s is not a directory that belongs to you: remove it, or choose another output", dir)
}

// acquire takes the lock of the directory, which ends with the process.
func acquire(root *os.Root) (*os.File, error) {
	for {
		f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		current, err := hold(root, f)
		if err == nil && current {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// hold locks f. current reports whether f still is the lock of the directory: its
// last holder may have removed it, and another process created a new one.
func hold(root *os.Root, f *os.File) (current bool, err error) {
	free, err := tryLock(f)
	if err != nil {
		return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	if !free {
		return false, &LockedError{Dir: root.Name()}
	}
	return names(root, lockName, f)
}

// names reports whether f is the file with this name in root.
func names(root *os.Root, name string, f *os.File) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, named), err
}

// openPlain opens a file that an earlier run left. It returns nil if there is none,
// or if the name is that of a directory, a link or a pipe.
func openPlain(root *os.Root, name string, flag int) (*os.File, error) {
	if info, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, flag|nonblock, 0)
	if err != nil {
		return nil, err
	}
	// In a directory of several users, another file may have its name now.
	if same, err := names(root, name, f); err != nil || !same {
		return nil, errors.Join(err, f.Close())
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// create creates a file in the directory, and replaces one with the same name.
func (s *Store) create(name string, perm fs.FileMode) (*os.File, error) {
	if err := s.root.RemoveAll(name); err != nil {
		return nil, err
	}
	return s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}
