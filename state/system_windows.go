package state

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes an exclusive lock on f, if it is free (LockFileEx).
func tryLock(f *os.File) bool {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{}) == nil
}

// owned is always true: folders of other users are guarded by their ACLs.
func owned(fs.FileInfo) bool { return true }

// syncDir does nothing: NTFS journals its names, and folders can't be synced.
func syncDir(string) error { return nil }
