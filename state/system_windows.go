package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// nonblock is nothing: there are no pipes in directories.
const nonblock = 0

// tryLock takes an exclusive lock on f, if it is free (LockFileEx).
func tryLock(f *os.File) (free bool, err error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// unlock does nothing: a lock ends with its handle, which no process inherits.
func unlock(*os.File) error { return nil }

// owned is always true: directories of other users are guarded by their ACLs.
func owned(fs.FileInfo) bool { return true }

// links is always 1: only who may write to a file can give it another name.
func links(fs.FileInfo) int { return 1 }

// device is not known: the information of a file has no volume.
func device(fs.FileInfo) (number uint64, known bool) { return 0, false }

// renameOut renames a file of root to path.
func renameOut(root *os.Root, name, path string) error {
	return os.Rename(filepath.Join(root.Name(), name), path)
}

// syncDir does nothing: NTFS journals its names, and directories can't be synced.
func syncDir(string) error { return nil }
