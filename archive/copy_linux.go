package archive

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// kernelBlock is the most bytes that the kernel copies between two checks of the context.
const kernelBlock = 16 << 20

// copyFileRange copies size bytes from src at an offset, without moving its position, to the position of dst.
// It returns how many bytes it copied; the caller copies the rest in another way.
func copyFileRange(ctx context.Context, dst, src *os.File, at, size int64) (done int64) {
	if info, err := dst.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0
	}
	for done < size && ctx.Err() == nil {
		from := at + done
		n, err := unix.CopyFileRange(int(src.Fd()), &from, int(dst.Fd()), nil, int(min(size-done, kernelBlock)), 0)
		if err != nil || n <= 0 {
			break
		}
		done += int64(n)
	}
	return done
}
