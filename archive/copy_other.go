//go:build !linux

package archive

import (
	"context"
	"os"
)

// copyFileRange has a system call behind it on Linux alone.
func copyFileRange(context.Context, *os.File, *os.File, int64, int64) int64 { return 0 }
