package segment

import (
	"errors"
	"time"
)

// outcomeOf reads from a source's error what the scheduler has to know. Without
// any of these methods, an error means that the connection failed:
//
//	Missing() bool                        the source does not have the blob
//	Refused() bool                        it will not serve us at all
//	Busy() bool                           it is overloaded, or counts requests
//	Mismatch() bool                       it has something else by that name
//	Permanent() bool                      it would answer the same again
//	RetryAfter() (time.Duration, bool)    when to ask again
func outcomeOf(err error) outcome {
	why := outcome{kind: outcomeCut}
	switch {
	case reports(err, func(e interface{ Missing() bool }) bool { return e.Missing() }):
		why.kind = outcomeMissing
	case reports(err, func(e interface{ Refused() bool }) bool { return e.Refused() }):
		why.kind = outcomeRefused
	case reports(err, func(e interface{ Busy() bool }) bool { return e.Busy() }):
		why.kind = outcomeBusy
	case reports(err, func(e interface{ Mismatch() bool }) bool { return e.Mismatch() }),
		reports(err, func(e interface{ Permanent() bool }) bool { return e.Permanent() }):
		why.kind = outcomeRejected
	}
	var after interface{ RetryAfter() (time.Duration, bool) }
	if errors.As(err, &after) {
		why.after, _ = after.RetryAfter()
	}
	return why
}

// reports calls ask with the first error of the chain that is a T.
func reports[T any](err error, ask func(T) bool) bool {
	var e T
	return errors.As(err, &e) && ask(e)
}
