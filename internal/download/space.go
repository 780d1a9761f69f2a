package download

import (
	"fmt"
	"syscall"

	"github.com/segpull/segpull/archive"
)

// checkSpace returns an error, before the first blob is fetched, if the image cannot
// fit on the disk, and warns if it may not.
func (d *Download) checkSpace() error {
	need, free, known := d.store.Space()
	if !known {
		return nil
	}
	place := d.opts.Place
	likely := need
	switch {
	case d.cached != nil && place.OnDisk(): // written from the cache, or decompressed to more
		need = d.size()
		likely = need
	case place.InPart() || !place.OnDisk():
	case place.Format == archive.Legacy: // decompressed, it is at least as large
		need += d.size()
		likely = need
	default: // the files of a layout, which may share blocks with the part file
		likely += d.size()
	}
	if free < need {
		return fmt.Errorf("directory %s needs %s more and has %s free: %w", place.Dir(), bytesText(need), bytesText(free), syscall.ENOSPC)
	}
	if free < likely {
		d.opts.Warn(fmt.Sprintf("directory %s has %s free, and segpull needs up to %s to write %s: make room while the pull runs",
			place.Dir(), bytesText(free), bytesText(likely), place.Path))
	}
	return nil
}

func bytesText(n int64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
