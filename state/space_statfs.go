//go:build linux || darwin

package state

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Space returns how many more bytes the part file needs of its file system, and
// how many bytes are free there. known is false if the system reports neither.
func (s *Store) Space() (need, free int64, known bool) {
	info, err := s.part.Stat()
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	free, _, known = spaceOf(s.part)
	if !ok || !known {
		return 0, 0, false
	}
	// The bytes that are allocated, not those that are recorded: a file system
	// without holes (exFAT) has allocated all up to the last byte.
	need = max(0, s.end()-stat.Blocks*512)
	return need, free, true
}

// spaceOf returns how many bytes are free for us on the file system of f, and its size.
func spaceOf(f *os.File) (free, total int64, known bool) {
	var system unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &system) != nil || system.Blocks == 0 {
		return 0, 0, false
	}
	blocks := system.Bavail
	if os.Geteuid() == 0 {
		blocks = system.Bfree
	}
	return int64(blocks) * int64(system.Bsize), int64(system.Blocks) * int64(system.Bsize), true
}
