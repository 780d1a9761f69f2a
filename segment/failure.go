package segment

import (
	"errors"
	"time"
)

// outcome reads from a source's error what the scheduler has to know. An
// error says more than that the connection failed by any of the methods
//
//	Missing() bool                        the source does not have the blob
//	Refused() bool                        it will not serve us at all
//	Busy() bool                           it asks for patience
//	Mismatch() bool                       it has something else by that name
//	Permanent() bool                      it would answer the same again
//	RetryAfter() (time.Duration, bool)    when to come back
func outcome(err error) Outcome {
	why := Outcome{Kind: Cut}
	switch {
	case says(err, func(e interface{ Missing() bool }) bool { return e.Missing() }):
		why.Kind = Missing
	case says(err, func(e interface{ Refused() bool }) bool { return e.Refused() }):
		why.Kind = Refused
	case says(err, func(e interface{ Busy() bool }) bool { return e.Busy() }):
		why.Kind = Busy
	case says(err, func(e interface{ Mismatch() bool }) bool { return e.Mismatch() }),
		says(err, func(e interface{ Permanent() bool }) bool { return e.Permanent() }):
		why.Kind = Rejected
	}
	var after interface{ RetryAfter() (time.Duration, bool) }
	if errors.As(err, &after) {
		why.After, _ = after.RetryAfter()
	}
	return why
}

// says asks the first error of the chain that answers to T.
func says[T any](err error, ask func(T) bool) bool {
	var e T
	return errors.As(err, &e) && ask(e)
}
