//go:build linux || darwin

package state

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Room returns how many bytes the part file still needs of its file system,
// and how many are free there. It is false where the system does not say.
func (s *Store) Room() (need, free int64, known bool) {
	info, err := s.part.Stat()
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	free, known = freeBytes(s.part)
	if !ok || !known {
		return 0, 0, false
	}
	for _, b := range s.blobs {
		need = max(need, b.place.Offset+b.place.Size)
	}
	// What has room already, rather than what is recorded: a file system
	// without holes (exFAT) has given room to all up to the last byte.
	need = max(0, need-stat.Blocks*512)
	return need, free, true
}

// freeBytes returns how many bytes are free for us on the file system of f.
func freeBytes(f *os.File) (free int64, known bool) {
	var system unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &system) != nil || system.Blocks == 0 {
		return 0, false
	}
	blocks := system.Bavail
	if os.Geteuid() == 0 {
		blocks = system.Bfree
	}
	return int64(blocks) * int64(system.Bsize), true
}
