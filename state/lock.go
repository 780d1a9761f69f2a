package state

import (
	"context"
	"errors"
	"os"
	"time"
)

// lockInterval is how often Lock tries again: flock(2) has no wait that ends with a
// context.
const lockInterval = 5 * time.Millisecond

// Lock locks the file at path, which it creates if it does not exist, and waits while
// another Lock has it, in this process or another. release unlocks it, and so does the
// end of the process. The error is the cause of ctx, or one of the file system.
func Lock(ctx context.Context, path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		free, err := tryLock(f)
		switch {
		case err != nil:
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		case free:
			return func() error { return errors.Join(unlock(f), f.Close()) }, nil
		}
		select {
		case <-time.After(lockInterval):
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		}
	}
}
