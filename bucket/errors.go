package bucket

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/segpull/segpull/internal/readable"
)

// errNoCredentials is the error of requests that cannot be signed.
var errNoCredentials = errors.New("there are no credentials")

// errShort is the error of a blob that has another size than it should.
var errShort = errors.New("the object has another size than the blob")

// errNoClaims is the error of a bucket where blobs cannot be claimed now.
var errNoClaims = errors.New("the bucket takes no claims")

// operation is what a request is for.
type operation string

const (
	opLook   operation = "look"
	opRead   operation = "read"
	opClaim  operation = "claim"
	opPut    operation = "put"
	opDelete operation = "delete"
)

// writes reports whether the request changes an object.
func (o operation) writes() bool { return o != opLook && o != opRead }

// localError is an error of the cache that a blob is put from.
type localError struct{ error }

// Error is the error of a request to S3. It has no credential.
type Error struct {
	Store   string // the name of the Store
	Op      string // "look", "read", "claim", "put" or "delete"
	Status  int    // of the answer; 0: there was none
	Code    string // of S3, such as AccessDenied
	Message string // the server's text, in one line
	Err     error  // the reason, if there was no answer
}

func (e *Error) Error() string {
	text := e.Store + ": " + e.Op
	if e.Status != 0 {
		text += fmt.Sprintf(": %d %s", e.Status, cmp.Or(e.Code, http.StatusText(e.Status)))
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if advice := e.advice(); advice != "" {
		text += " (" + advice + ")"
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Missing reports whether the object does not exist.
func (e *Error) Missing() bool { return e.Status == http.StatusNotFound && e.Code != "NoSuchBucket" }

// Refused reports whether the server refuses access, or has no such bucket. Amazon answers 400
// where credentials have expired, to HEAD without a code.
func (e *Error) Refused() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusBadRequest:
		return e.Code == "" || strings.HasPrefix(e.Code, "ExpiredToken")
	}
	return e.Code == "NoSuchBucket" || errors.Is(e.Err, errNoCredentials)
}

// Busy reports whether the server wants fewer requests.
func (e *Error) Busy() bool { return e.Status == http.StatusTooManyRequests || e.Code == "SlowDown" }

// Mismatch reports whether the object cannot be the blob.
func (e *Error) Mismatch() bool {
	return errors.Is(e.Err, errShort) || e.Status == http.StatusRequestedRangeNotSatisfiable
}

// full reports whether there is no room for another object.
func (e *Error) full() bool {
	return e.Status == http.StatusInsufficientStorage || e.Code == "XMinioStorageFull" || strings.Contains(e.Code, "Quota")
}

// unsupported reports whether the server does not know such requests.
func (e *Error) unsupported() bool { return e.Status == http.StatusNotImplemented }

// exists reports whether an object is not as a conditional request wants it.
func (e *Error) exists() bool {
	return e.Status == http.StatusPreconditionFailed || e.Status == http.StatusConflict
}

func (e *Error) advice() string {
	switch {
	case e.Code == "NoSuchBucket":
		return "create the bucket, or correct cache in the configuration"
	case e.Code == "RequestTimeTooSkewed":
		return "correct the clock of this machine"
	case e.Refused():
		return "give valid credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in ~/.aws/credentials; they must allow to list the bucket, and to read, write and delete its objects"
	}
	return ""
}

// mostMessage bounds what a server says, in bytes.
const mostMessage = 200

// newError returns the error of a request, or nil.
func (s *Store) newError(op operation, err error) error {
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok || answer.StatusCode == 0 {
		return &Error{Store: s.Name(), Op: string(op), Err: err}
	}
	e := &Error{Store: s.Name(), Op: string(op), Status: answer.StatusCode, Code: printable(answer.Code), Message: printable(readable.Text([]byte(answer.Message)))}
	if strings.Contains(e.Code, " ") { // minio-go has put the status there: the answer had no code
		e.Code, e.Message = "", ""
	}
	return e
}

// printable returns a server's text without control characters, and not too long.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > mostMessage {
		text = strings.ToValidUTF8(text[:mostMessage], "") + "…"
	}
	return text
}

// is reports what an error says of itself.
func is(err error, what func(*Error) bool) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && what(e)
}
