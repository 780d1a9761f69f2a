package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Error is the error of every method of Client. It holds no secret.
type Error struct {
	Op         string // "manifest", "blob", "token" or "credentials"
	Source     string // the host's Name
	Where      string // URL without user and query; of other hosts without path
	StatusCode int    // of the answer; 0 if there was none, or if Err is the reason
	Code       string // of the distribution specification, such as MANIFEST_UNKNOWN
	Message    string // the host's text, in one line
	After      time.Duration
	HasAfter   bool
	Err        error // the reason, if StatusCode does not say it
	// Login is where the login is stored that the host refused, "" for none.
	Login string

	size  int64 // of the blob, as a 416 gives it; -1: not given
	final bool  // Err would be the same next time
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

// RetryAfter returns how long the host asks to wait, from 0 to an hour, and whether
// it does.
func (e *Error) RetryAfter() (time.Duration, bool) { return e.After, e.HasAfter }

// Missing reports whether the host does not have the manifest or blob.
func (e *Error) Missing() bool {
	switch e.Code {
	case "BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN":
		return true
	}
	return e.StatusCode == http.StatusNotFound && e.Op != "token"
}

// Refused reports whether the host refuses access, also with the stored
// credentials.
func (e *Error) Refused() bool {
	return (e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden) && !e.Busy() && !e.Missing()
}

// Busy reports whether the host wants fewer requests. A 503 without a Retry-After
// is a failure like any 5xx.
func (e *Error) Busy() bool {
	return e.StatusCode == http.StatusTooManyRequests || e.Code == "TOOMANYREQUESTS" ||
		e.StatusCode == http.StatusServiceUnavailable && e.HasAfter
}

// Mismatch reports whether the host has a blob or manifest of another digest or size
// under that name.
func (e *Error) Mismatch() bool {
	return errors.Is(e.Err, errMismatch) || e.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

// Permanent reports whether a second request would fail in the same way, for a reason
// that none of the other methods names: a certificate, a proxy that requires a
// login, a policy, a redirect that is refused.
func (e *Error) Permanent() bool {
	if e.Missing() || e.Refused() || e.Busy() || e.Mismatch() {
		return false
	}
	return e.final || e.StatusCode >= 400 && e.StatusCode < 500 && !passing[e.StatusCode] ||
		e.StatusCode == http.StatusNotImplemented
}

// passing are the statuses of requests that may well succeed next time.
var passing = map[int]bool{
	http.StatusRequestTimeout: true, http.StatusMisdirectedRequest: true, http.StatusTooEarly: true,
	http.StatusTooManyRequests: true, http.StatusLocked: true,
}

// WantsClientCertificate reports whether the server ended the handshake as it
// does for want of a certificate that it accepts (RFC 8446, section 6.2). Before
// TLS 1.3 servers said only that the certificate is bad, or of none that the
// handshake failed (RFC 5246, section 7.4.6), as they do for other reasons too.
// nginx shakes hands, and answers 400.
func (e *Error) WantsClientCertificate() bool {
	return e.Err != nil && certificateWanted.MatchString(e.Err.Error()) ||
		e.StatusCode == http.StatusBadRequest && strings.Contains(e.Message, "SSL certificate")
}

var certificateWanted = regexp.MustCompile(`tls: certificate required|remote error: tls: (bad certificate|handshake failure)`)

// Unreachable reports whether there was no answer at all.
func (e *Error) Unreachable() bool { return e.StatusCode == 0 && !e.Permanent() && !e.Mismatch() }

var errMismatch = errors.New("the answer does not match the request")

func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMismatch, fmt.Sprintf(format, args...))
}

// permanentError is what would go wrong in the same way another time.
type permanentError struct{ text string }

func (e *permanentError) Error() string { return e.text }

func permanent(text string) error { return &permanentError{text} }

// isPermanent reports whether err would be the same another time.
func isPermanent(err error) bool {
	if _, ok := errors.AsType[*permanentError](err); ok {
		return true
	}
	return isCertificate(err) || isAlert(err) || strings.Contains(err.Error(), "tls: server selected unsupported protocol version")
}

// isCertificate reports whether the certificate of a server is not accepted.
func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// isAlert reports whether the server ended the handshake with a reason that
// concerns what we are or lack, such as "tls: certificate required".
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// fault is the error of a response that cannot be used.
func (c *Client) fault(op string, at *url.URL, err error) *Error {
	return &Error{Op: op, Source: c.name, Where: c.where(at), Err: seal(err), final: isPermanent(err)}
}

// refusal is the error of a response whose status is not a success.
func (c *Client) refusal(op string, r reply) *Error {
	e := refusal(op, c.name, c.where(r.at), r.Response)
	e.Login = r.refused.From
	return e
}

func refusal(op, source, where string, resp *http.Response) *Error {
	e := &Error{Op: op, Source: source, Where: where, StatusCode: resp.StatusCode, size: -1}
	if total, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */"); ok {
		if n, ok := parseDigits(total); ok {
			e.size = n
		}
	}
	e.After, e.HasAfter = retryAfter(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // a cut-off one says enough
	body = plain(resp.Header, body)
	e.Code, e.Message = explain(resp.Header, []byte(hideSecrets(resp.Request, string(body))))
	if e.StatusCode == http.StatusProxyAuthRequired {
		e.Message = proxyLogin
	}
	return e
}

// failure is the error of a request that got no response.
func (c *Client) failure(ctx context.Context, op string, at *url.URL, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if ctx.Err() != nil {
		return c.fault(op, at, ended(ctx))
	}
	return c.fault(op, at, c.plainly(ctx, at, bare(err)))
}

// where names a URL in an error. The path of another host may be a secret.
func (c *Client) where(u *url.URL) string {
	if c.home.is(u) {
		return origin(u) + u.EscapedPath()
	}
	return origin(u)
}
