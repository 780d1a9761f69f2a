// Package again makes a request again that failed for a reason that may pass.
package again

import (
	"context"
	"errors"
	"time"
)

const (
	// tries is how often a request is made.
	tries = 5
	// firstWait is the time before the second try. It doubles for each later one.
	firstWait = time.Second
	// longestWait bounds what a server may ask for by Retry-After.
	longestWait = time.Minute
)

// Do calls request up to five times, until it returns nil or an error with one of the methods
// Missing, Refused, Mismatch and Permanent that returns true: the next request would fail in
// the same way. Do waits a second before the second call, and twice as long before each later
// one, or as long as the method RetryAfter of the error says, up to a minute. trouble gets
// the errors after which the request is made again. The error is that of the last call, or
// the cause of ctx.
func Do(ctx context.Context, trouble func(error), request func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := request()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil || final(err) || try == tries:
			return err
		}
		trouble(err)
		select {
		case <-time.After(max(wait, retryAfter(err))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait *= 2
	}
}

// final reports whether a second request would fail in the same way.
func final(err error) bool {
	var (
		missing   interface{ Missing() bool }
		refused   interface{ Refused() bool }
		mismatch  interface{ Mismatch() bool }
		permanent interface{ Permanent() bool }
	)
	return errors.As(err, &missing) && missing.Missing() || errors.As(err, &refused) && refused.Refused() ||
		errors.As(err, &mismatch) && mismatch.Mismatch() || errors.As(err, &permanent) && permanent.Permanent()
}

// retryAfter is how long the server asks to wait, at most longestWait.
func retryAfter(err error) time.Duration {
	var e interface {
		RetryAfter() (time.Duration, bool)
	}
	if !errors.As(err, &e) {
		return 0
	}
	after, _ := e.RetryAfter()
	return min(after, longestWait)
}
