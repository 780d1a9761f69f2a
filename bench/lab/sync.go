package lab

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// syncAll brings every file and directory in a directory to the disk, and
// returns how long that took.
func syncAll(dir string) (time.Duration, error) {
	start := time.Now()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		return syncFile(path)
	})
	return time.Since(start), err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
