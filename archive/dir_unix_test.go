//go:build unix

package archive

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A layout that a group shares can be added to by all of it.
func TestWriteDirGoesByTheUmask(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	for umask, want := range map[int][2]fs.FileMode{0o002: {0o775, 0o664}, 0o022: {0o755, 0o644}, 0o077: {0o700, 0o600}} {
		dir := filepath.Join(t.TempDir(), "layout")
		old := syscall.Umask(umask)
		err := WriteDir(t.Context(), dir, img, blobs)
		syscall.Umask(old)
		must(err)
		must(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			must(err)
			info, err := os.Stat(name)
			must(err)
			mode := want[1]
			if d.IsDir() {
				mode = want[0]
			}
			if info.Mode().Perm() != mode {
				t.Errorf("umask %03o: %s has mode %o, want %o", umask, name, info.Mode().Perm(), mode)
			}
			return nil
		}))
	}
}
