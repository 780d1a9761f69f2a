package state

import (
	"os"
	"slices"
)

// Recorded returns how many bytes of its blobs the directory of the output at path has,
// see Dir, also while a Store has it open: 0 if there is none, if it is not readable, or
// if its part file has become the output. It does not check the bytes.
func Recorded(path string) (bytes int64) {
	root, err := os.OpenRoot(Dir(path))
	if err != nil {
		return 0
	}
	defer root.Close()
	old, err := (&Store{root: root}).loadSidecar()
	if err != nil || !slices.Contains(partNames, old.Part) {
		return 0
	}
	if _, err := root.Lstat(old.Part); err != nil {
		return 0
	}
	for _, blob := range old.records {
		for _, h := range blob {
			bytes += h.Len()
		}
	}
	return bytes
}
