//go:build unix

package transfer

import "syscall"

// mostDescriptors is how many files and connections this process may have open.
func mostDescriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1 << 20
	}
	return int(min(uint64(limit.Cur), 1<<20))
}
