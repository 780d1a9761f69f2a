package state

import (
	"os"
)

const lockName = "lock"

// acquire takes the lock of the folder, which ends with the process.
func (s *Store) acquire() error {
	for {
		f, err := s.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		s.lock = f
		if !tryLock(f) {
			return &LockedError{Dir: s.dir}
		}
		// Its last holder may have removed it meanwhile, and another one made it.
		held, err := f.Stat()
		if err != nil {
			return err
		}
		if named, err := s.root.Stat(lockName); err == nil && os.SameFile(held, named) {
			return nil
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
}
