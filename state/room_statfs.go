//go:build linux || darwin

package state

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Room tells how many bytes the part file is still to take of its file system,
// and how many are free there. It is false where the system does not say.
func (s *Store) Room() (need, free int64, known bool) {
	info, err := s.part.Stat()
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	var system unix.Statfs_t
	if !ok || unix.Fstatfs(int(s.part.Fd()), &system) != nil || system.Blocks == 0 {
		return 0, 0, false
	}
	for _, b := range s.blobs {
		need = max(need, b.place.Offset+b.place.Size)
	}
	// What has room already, rather than what is recorded: a file system
	// without holes (exFAT) has given room to all up to the last byte.
	need = max(0, need-stat.Blocks*512)
	blocks := system.Bavail
	if os.Geteuid() == 0 {
		blocks = system.Bfree
	}
	return need, int64(blocks) * int64(system.Bsize), true
}
