//go:build !linux && !darwin

package state

import "os"

// Room is not known here.
func (s *Store) Room() (need, free int64, known bool) { return 0, 0, false }

func freeBytes(*os.File) (int64, bool) { return 0, false }
