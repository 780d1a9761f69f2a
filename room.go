package segpull

import (
	"fmt"
	"syscall"

	"github.com/segpull/segpull/archive"
)

// checkRoom fails before anything is fetched where the image is certain not to
// fit, and warns where that is likely.
func (j *job) checkRoom() error {
	need, free, known := j.store.Room()
	if !known {
		return nil
	}
	folder, likely := j.out.folder(), need
	switch {
	case j.layout != nil || j.out.path == stdout:
	case j.out.format == archive.Legacy: // decompressed, it is no smaller
		need += j.size()
		likely = need
	default: // the files of a layout, which may share blocks with the part file
		likely += j.size()
	}
	if free < need {
		return fmt.Errorf("%s more are needed in folder %s, which has %s free: %w", bytesText(need), folder, bytesText(free), syscall.ENOSPC)
	}
	if free < likely {
		j.call.warn(fmt.Sprintf("folder %s has %s free, and up to %s are needed when %s is written: make room meanwhile",
			folder, bytesText(free), bytesText(likely), j.out.path))
	}
	return nil
}

// size is the bytes of all blobs.
func (j *job) size() (n int64) {
	for _, b := range j.blobs {
		n += b.Size
	}
	return n
}

func bytesText(n int64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
