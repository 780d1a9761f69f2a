package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Error is the error of every method of Client. It holds no secret.
type Error struct {
	Op         string // "manifest", "blob", "token" or "credentials"
	Source     string // the host's Name
	Where      string // URL without user and query; of other hosts without path
	StatusCode int    // of the answer, 0 if there was none or it was not why
	Code       string // of the distribution specification, as MANIFEST_UNKNOWN
	Message    string // what the host said, in one line
	After      time.Duration
	HasAfter   bool
	Err        error // what went wrong, where the status does not say it
}

func (e *Error) Error() string {
	s := e.Source + ": " + e.Op + " " + e.Where
	if e.StatusCode != 0 {
		s += strings.TrimRight(fmt.Sprintf(": %d %s", e.StatusCode, http.StatusText(e.StatusCode)), " ")
	}
	for _, part := range []string{e.Code, e.Message} {
		if part != "" {
			s += ": " + part
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.HasAfter {
		s += fmt.Sprintf(" (retry after %s)", e.After.Round(time.Millisecond))
	}
	return s
}

// Unwrap returns Err: errors.Is finds the end of a context in it.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter returns how long the host asks to be left alone, from 0 to an
// hour, and whether it said so.
func (e *Error) RetryAfter() (time.Duration, bool) { return e.After, e.HasAfter }

// Missing reports whether the host does not have what was asked for.
func (e *Error) Missing() bool {
	switch e.Code {
	case "BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN":
		return true
	}
	return e.StatusCode == http.StatusNotFound && e.Op != "token" || errors.Is(e.Err, errNotPublic)
}

// Refused reports whether the host would not let us have it, credentials
// having been tried.
func (e *Error) Refused() bool {
	return (e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden) && !e.Busy() && !e.Missing()
}

// Busy reports whether the host wants fewer requests. A 503 that does not say
// for how long is an accident like any 5xx.
func (e *Error) Busy() bool {
	return e.StatusCode == http.StatusTooManyRequests || e.Code == "TOOMANYREQUESTS" ||
		e.StatusCode == http.StatusServiceUnavailable && e.HasAfter
}

// Mismatch reports whether the host answered, but with something else: another
// digest, size or range.
func (e *Error) Mismatch() bool {
	return errors.Is(e.Err, errMismatch) || e.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

var errMismatch = errors.New("not what was asked for")

func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMismatch, fmt.Sprintf(format, args...))
}

// fault is the error of a response that cannot be used.
func (c *Client) fault(op string, at *url.URL, err error) *Error {
	return &Error{Op: op, Source: c.name, Where: c.where(at), Err: seal(err)}
}

// refusal is the error of a response whose status is no success.
func (c *Client) refusal(op string, resp *http.Response) *Error {
	return refusal(op, c.name, c.where(resp.Request.URL), resp)
}

func refusal(op, source, where string, resp *http.Response) *Error {
	e := &Error{Op: op, Source: source, Where: where, StatusCode: resp.StatusCode}
	e.After, e.HasAfter = retryAfter(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // a cut-off one says enough
	e.Code, e.Message = explain(resp.Header, []byte(hideSecrets(resp.Request, string(body))))
	return e
}

// failure is the error of a request that got no response.
func (c *Client) failure(ctx context.Context, op string, at *url.URL, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case ctx.Err() != nil:
		return c.fault(op, at, ended(ctx))
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		e := c.fault(op, at, errors.New("it wants credentials, and none are known"))
		e.StatusCode = http.StatusUnauthorized
		return e
	}
	return c.fault(op, at, bare(err))
}

// where names a URL in an error. The path of another host may be a secret.
func (c *Client) where(u *url.URL) string {
	if sameOrigin(u, c.base) {
		return origin(u) + u.EscapedPath()
	}
	return origin(u)
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
