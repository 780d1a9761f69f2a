package registry

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// maxRetryAfter is the longest delay that a host can request.
const maxRetryAfter = time.Hour

// retries says how often, and after which answers, a request is sent again before the
// caller gets the answer. Retries are few and short, since the caller can ask other
// hosts.
type retries struct {
	most     int
	statuses []int
	lo, hi   time.Duration // of the backoff; there is no retry after a Retry-After above hi
}

var (
	manifestRetries = retries{most: 3, statuses: []int{408, 429, 500, 502, 503, 504}, lo: 250 * time.Millisecond, hi: 3 * time.Second}
	blobRetries     = retries{most: 1, lo: 50 * time.Millisecond, hi: 100 * time.Millisecond}
)

// over returns a client that sends requests by transport, and again if that may help.
func (r retries) over(transport http.RoundTripper) http.RoundTripper {
	return &retryablehttp.RoundTripper{Client: &retryablehttp.Client{
		HTTPClient:   lastHop(transport),
		RetryMax:     r.most,
		RetryWaitMin: r.lo,
		RetryWaitMax: r.hi,
		CheckRetry:   r.check,
		Backoff:      backoff,
		ErrorHandler: handOver,
	}}
}

// lastHop returns an HTTP client that does not follow redirects.
func lastHop(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (r retries) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ended(ctx)
	}
	if err != nil {
		timeout, ok := errors.AsType[net.Error](err)
		if ok && timeout.Timeout() || isPermanent(err) || isSchemeMismatch(err) {
			return false, nil
		}
		if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
			return false, nil // the host does not exist, also in a second
		}
		return retryablehttp.DefaultRetryPolicy(ctx, nil, err) // knows the errors of certificates
	}
	after, _ := retryAfter(resp)
	return slices.Contains(r.statuses, resp.StatusCode) && after <= r.hi, nil
}

// backoff doubles from lo to hi, with jitter so that requests that failed at the same
// time are not repeated at the same time. A Retry-After takes precedence.
func backoff(lo, hi time.Duration, attempt int, resp *http.Response) time.Duration {
	if after, ok := retryAfter(resp); ok {
		return after
	}
	wait := min(hi, lo<<min(attempt, 10))
	return wait/2 + rand.N(wait/2+1)
}

// handOver returns the last response to the caller, but no response together with an
// error: net/http would only log it, and leak its connection.
func handOver(resp *http.Response, err error, _ int) (*http.Response, error) {
	if err != nil && resp != nil {
		resp.Body.Close()
		resp = nil
	}
	return resp, err
}

func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp == nil || resp.StatusCode < 400 {
		return 0, false
	}
	// A date is relative to the server's clock, since ours may be wrong.
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return parseRetryAfter(resp.Header.Get("Retry-After"), now)
}

// parseRetryAfter reads seconds or a date (RFC 9110, section 10.2.3), and a
// duration such as 880.092µs, which GHCR sends. A time in the past is 0.
func parseRetryAfter(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	var after time.Duration
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(seconds) || math.IsInf(seconds, 0) {
			return 0, false
		}
		after = time.Duration(min(max(seconds, 0), maxRetryAfter.Seconds()) * float64(time.Second))
	} else if d, err := time.ParseDuration(s); err == nil {
		after = d
	} else if t, err := http.ParseTime(s); err == nil {
		after = t.Sub(now)
	} else {
		return 0, false
	}
	return min(max(after, 0), maxRetryAfter), true
}
