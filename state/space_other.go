//go:build !linux && !darwin

package state

import "os"

// Space is not known on this system.
func (s *Store) Space() (need, free int64, known bool) { return 0, 0, false }

func spaceOf(*os.File) (free, total int64, known bool) { return 0, 0, false }
