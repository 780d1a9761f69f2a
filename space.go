package segpull

import (
	"fmt"
	"syscall"

	"github.com/segpull/segpull/archive"
)

// checkSpace returns an error, before the first blob is fetched, if the image cannot
// fit on the disk, and warns if it may not.
func (j *job) checkSpace() error {
	need, free, known := j.store.Space()
	if !known {
		return nil
	}
	dir, likely := j.out.dir(), need
	switch {
	case j.cached != nil && j.out.onDisk(): // written from the cache, or decompressed to more
		need = j.size()
		likely = need
	case j.layout != nil || !j.out.onDisk():
	case j.out.format == archive.Legacy: // decompressed, it is at least as large
		need += j.size()
		likely = need
	default: // the files of a layout, which may share blocks with the part file
		likely += j.size()
	}
	if free < need {
		return fmt.Errorf("directory %s needs %s more and has %s free: %w", dir, bytesText(need), bytesText(free), syscall.ENOSPC)
	}
	if free < likely {
		j.call.warn(fmt.Sprintf("directory %s has %s free, and segpull needs up to %s to write %s: make room while the pull runs",
			dir, bytesText(free), bytesText(likely), j.out.path))
	}
	return nil
}

// size returns the number of bytes of all blobs.
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
