package state

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriting makes the kernel begin to write the changed bytes of f to the disk. It
// does not wait until they are there. The next fsync reports what fails.
func startWriting(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	})
}
