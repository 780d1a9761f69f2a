package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// manifestTimeout is the most time until the headers of a manifest arrive, with
// retries, tokens and redirects. For blobs there is no limit.
const manifestTimeout = 30 * time.Second

// within gives open a time limit, 0 for none, and binds the response's body to
// the context that it was opened with: closing the body ends the request at
// once.
func within(ctx context.Context, limit time.Duration, open func(context.Context) (*http.Response, error)) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	if limit > 0 {
		timer := time.AfterFunc(limit, func() { cancel(silence(limit)) })
		defer timer.Stop() // if it has fired since, reading the body fails
	}
	resp, err := open(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &boundBody{resp.Body, cancel}
	return resp, nil
}

type boundBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *boundBody) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// silence is the error of a host that has not answered for this time.
type silence time.Duration

func (s silence) Error() string { return "no answer within " + time.Duration(s).String() }
func (s silence) Timeout() bool { return true }

// ended returns why ctx has ended, or nil. The error of a timeout does not match
// context.Canceled, so that it does not look like a cancellation by the caller.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if _, ok := errors.AsType[silence](cause); ok || cause == err {
		return cause
	}
	return &becauseError{err, cause}
}

// becauseError is a context's error together with the cause that it was given.
type becauseError struct{ err, cause error }

func (e *becauseError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *becauseError) Unwrap() []error { return []error{e.err, e.cause} }
