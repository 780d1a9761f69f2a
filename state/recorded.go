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

// SharesDisk reports whether two directories are known to be on one file system, so that
// both need room there.
func (s *Store) SharesDisk(other *Store) bool {
	var numbers [2]uint64
	for i, f := range []*os.File{s.part, other.part} {
		info, err := f.Stat()
		if err != nil {
			return false
		}
		number, known := device(info)
		if !known {
			return false
		}
		numbers[i] = number
	}
	return numbers[0] == numbers[1]
}
