package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The names in a part folder; there may be no others.
const (
	lockName    = "lock"
	sidecarName = "state"
	freshName   = "state.new" // a sidecar that is being written
	outputName  = "output"    // what Create makes
	probeName   = "mode"      // see publish
)

// Two names for the part file: while one is copied from, the other is filled.
var partNames = []string{"part", "part2"}

// leftovers are the names in the folder without which its lock and its sidecar
// still mean the same, if that does not name one of them.
var leftovers = append([]string{outputName, probeName, freshName}, partNames...)

// Dir is the folder for the output at path.
func Dir(path string) string {
	return strings.TrimRight(path, string(filepath.Separator)) + ".segpull"
}

// LockedError says that another process works on the same output.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is in use by another segpull: wait for it, or choose another output", e.Dir)
}

// enter opens the folder, which it makes where it does not exist, and takes
// its lock. A run that ends just now may remove the folder in between.
func enter(dir string) (root *os.Root, lock *os.File, err error) {
	for range 100 {
		if root, err = openFolder(dir); err == nil {
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

// openFolder opens or makes the folder. One that is there must be a folder,
// and ours: where others may write, one of them could have laid a trap.
func openFolder(dir string) (*os.Root, error) {
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
	if err := claimFolder(root, named); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// claimFolder sees to it that root is the folder that was looked at, and that
// nobody else can look into it.
func claimFolder(root *os.Root, named fs.FileInfo) error {
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
	// An owner may always do this, but on a file system without permissions (FAT).
	if err := root.Chmod(".", 0o700); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

var errRemade = errors.New("the part folder was removed and made anew while it was opened: run again")

func foreign(dir string) error {
	return fmt.Errorf("%s is not a folder of yours: remove it, or choose another output", dir)
}

// acquire takes the lock of the folder, which ends with the process.
func acquire(root *os.Root) (*os.File, error) {
	for {
		f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		stands, err := hold(root, f)
		if err == nil && stands {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// hold locks f. It stands as the folder's lock only if its last holder has not
// removed it meanwhile: another one may have been made since.
func hold(root *os.Root, f *os.File) (stands bool, err error) {
	free, err := tryLock(f)
	if err != nil {
		return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	if !free {
		return false, &LockedError{Dir: root.Name()}
	}
	return names(root, lockName, f)
}

// names says whether f is what name stands for in root.
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

// openPlain opens a file that an earlier run left. It is nil where there is
// none, or something else by that name: a folder, a link, a pipe.
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
	// In a folder of others, something else may have taken its place since.
	if same, err := names(root, name, f); err != nil || !same {
		return nil, errors.Join(err, f.Close())
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// create makes a file in the folder, in the place of whatever has its name.
func (s *Store) create(name string, perm fs.FileMode) (*os.File, error) {
	if err := s.root.RemoveAll(name); err != nil {
		return nil, err
	}
	return s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}
