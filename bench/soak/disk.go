package soak

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/segpull/segpull/bench/program"
)

// smallDisk is a file system in memory whose size can change. It needs root and
// Linux. Without them it is nil, and the limit of the shell's ulimit -f, which
// stops files from growing, replaces the full disk.
type smallDisk struct{ dir string }

// largeDisk is more than a round needs.
const largeDisk = 8 * maxBytes

// mountSmallDisk returns nil where that is not possible.
func mountSmallDisk(ctx context.Context, dir string) *smallDisk {
	if os.Geteuid() != 0 || program.Run(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", largeDisk), "tmpfs", dir) != nil {
		return nil
	}
	return &smallDisk{dir}
}

// shrink leaves room for this many bytes.
func (d *smallDisk) shrink(ctx context.Context, room int64) error {
	if d == nil {
		return nil
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &stat); err != nil {
		return err
	}
	used := int64(stat.Blocks-stat.Bfree) * int64(stat.Bsize)
	return d.resize(ctx, used+room)
}

func (d *smallDisk) grow() error { return d.resize(context.Background(), largeDisk) }

func (d *smallDisk) resize(ctx context.Context, size int64) error {
	if d == nil {
		return nil
	}
	return program.Run(ctx, "mount", "-o", fmt.Sprintf("remount,size=%d", size), d.dir)
}

func (d *smallDisk) unmount() {
	if d != nil {
		_ = exec.Command("umount", "--lazy", d.dir).Run()
	}
}
