package serve

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Codes of the distribution specification.
const (
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeNameUnknown     = "NAME_UNKNOWN"
	codeTooManyRequests = "TOOMANYREQUESTS"
	codeUnsupported     = "UNSUPPORTED"
	codeDenied          = "DENIED"
)

// errOffline is why nothing is fetched.
var errOffline = errors.New("it is not in the cache, and segpull serve runs with --offline")

// fail writes an error as the distribution specification has it.
func fail(w http.ResponseWriter, status int, code string, err error) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, _ := json.Marshal(map[string][]entry{"errors": {{code, err.Error()}}})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// failUpstream writes the error of Upstream or of the cache: 429 if all sources want
// fewer requests, else 404, at which engines ask another registry at once.
func failUpstream(w http.ResponseWriter, code string, err error) {
	if after, all := busy(err); all {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(after, time.Second).Seconds()))))
		fail(w, http.StatusTooManyRequests, codeTooManyRequests, err)
		return
	}
	fail(w, http.StatusNotFound, code, err)
}

// busy reports whether each source behind an error wants fewer requests, and how soon the
// first of them may be asked again.
func busy(err error) (after time.Duration, all bool) {
	if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
		for i, inner := range several.Unwrap() {
			wait, all := busy(inner)
			if !all {
				return 0, false
			}
			if i == 0 || wait < after {
				after = wait
			}
		}
		return after, true
	}
	var source interface{ Busy() bool }
	if !errors.As(err, &source) || !source.Busy() {
		return 0, false
	}
	var told interface{ RetryAfter() (time.Duration, bool) }
	if errors.As(err, &told) {
		after, _ = told.RetryAfter()
	}
	return after, true
}

// final reports whether the sources would give the same answer again: that there is no
// such image, or none without a login.
func final(err error) bool {
	var missing interface{ Missing() bool }
	var refused interface{ Refused() bool }
	return errors.As(err, &missing) && missing.Missing() || errors.As(err, &refused) && refused.Refused()
}

// absent reports whether the cache does not have something, rather than fails.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// gone reports whether the client has left.
func gone(ctx context.Context) bool { return ctx.Err() != nil }
