package state

import (
	"os"
	"slices"
)

// Recorded returns how many bytes the directory of the output at path, see Dir, has of
// each blob by its digest, without blobs of which it has none, also while a Store has it
// open. It returns nil if there is no directory, if it is not readable, or if its part
// file has become the output. It does not check the bytes.
func Recorded(path string) (bytes map[string]int64) {
	root, err := os.OpenRoot(Dir(path))
	if err != nil {
		return nil
	}
	defer root.Close()
	old, err := (&Store{root: root}).loadSidecar()
	if err != nil || !slices.Contains(partNames, old.Part) {
		return nil
	}
	if _, err := root.Lstat(old.Part); err != nil {
		return nil
	}
	bytes = make(map[string]int64)
	for i, blob := range old.records {
		for _, h := range blob {
			bytes[old.Blobs[i].Digest] += h.Len()
		}
	}
	return bytes
}

// Space returns how many bytes are free for this user on the file system of the file or
// directory at path, and how many it has. known is false if there is no such file, or if
// the system does not say it.
func Space(path string) (free, total int64, known bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	return spaceOf(f)
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
