//go:build !linux && !darwin

package state

// Room is not known here.
func (s *Store) Room() (need, free int64, known bool) { return 0, 0, false }
