package state

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives blocks of the disk to the first size bytes of f, whose length stays. If
// it fails, it may have done so for some of them.
func allocate(f *os.File, size int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		failure = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	})
	return errors.Join(err, failure)
}
