//go:build unix

package state

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// nonblock makes the opening of a pipe fail or return instead of waiting for its
// other end. It has no effect on regular files.
const nonblock = unix.O_NONBLOCK

// tryLock takes an exclusive lock on f, if it is free (flock(2)).
func tryLock(f *os.File) (free bool, err error) {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return err == nil, err
		}
	}
}

// unlock releases the lock at once. To close f does not: a child process may have f,
// and so the lock, for a moment between fork and exec.
func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// owned reports whether a file belongs to this user.
func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(stat.Uid) == os.Geteuid()
}

// links returns the number of names of a file.
func links(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return int(stat.Nlink)
}

// device returns the number of the file system that has a file.
func device(info fs.FileInfo) (number uint64, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(stat.Dev), true
}

// renameOut renames a file of root to path. It uses the open directory, since another
// directory could have its name now.
func renameOut(root *os.Root, name, path string) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Renameat(int(dir.Fd()), name, unix.AT_FDCWD, path); err != nil {
		return &os.LinkError{Op: "rename", Old: name, New: path, Err: err}
	}
	return nil
}

// syncDir makes the names in a directory survive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
