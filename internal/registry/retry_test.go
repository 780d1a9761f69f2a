package registry

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{" 2 ", 2 * time.Second, true},
		{"1.5", 1500 * time.Millisecond, true},
		{"-5", 0, true},
		{"999999999999", time.Hour, true},
		{"1e300", time.Hour, true},
		{"880.092µs", 880092 * time.Nanosecond, true},
		{"1m30s", 90 * time.Second, true},
		{"-1s", 0, true},
		{"2000h", time.Hour, true},
		{"Fri, 20 Nov 2026 12:00:30 GMT", 30 * time.Second, true},
		{"Fri, 31 Dec 1999 23:59:59 GMT", 0, true},
		{"Fri, 20 Nov 2099 12:00:30 GMT", time.Hour, true},
		{in: ""},
		{in: "NaN"},
		{in: "Inf"},
		{in: "soon"},
		{in: "10 apples"},
	} {
		got, ok := parseRetryAfter(test.in, now)
		if got != test.want || ok != test.ok {
			t.Errorf("%q: got %v %v, want %v %v", test.in, got, ok, test.want, test.ok)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"120", "1.5", "880.092µs", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "NaN", "1e309", "9223372036854775807h"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if after, ok := parseRetryAfter(s, now); after < 0 || after > maxRetryAfter || (!ok && after != 0) {
			t.Errorf("%q: %v %v", s, after, ok)
		}
	})
}

// A date counts from the server's clock: ours may be years off.
func TestRetryAfterByServerClock(t *testing.T) {
	resp := &http.Response{StatusCode: 503, Header: http.Header{
		"Date":        {"Fri, 31 Dec 1999 23:59:00 GMT"},
		"Retry-After": {"Fri, 31 Dec 1999 23:59:59 GMT"},
	}}
	if after, ok := retryAfter(resp); after != 59*time.Second || !ok {
		t.Errorf("got %v %v", after, ok)
	}
}

func TestBackoff(t *testing.T) {
	for attempt := range 100 {
		got := backoff(100*time.Millisecond, time.Second, attempt, nil)
		most := min(time.Second, 100*time.Millisecond<<min(attempt, 10))
		if got < most/2 || got > most {
			t.Errorf("attempt %d: %v, want %v to %v", attempt, got, most/2, most)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	manifest := func(c *Client) error {
		_, _, err := c.Manifest(t.Context(), "a", "1")
		return err
	}
	blob := func(c *Client) error { _, err := fetchBlob(t, c, 0, 16); return err }
	for name, test := range map[string]struct {
		ask      func(*Client) error
		answer   http.HandlerFunc
		requests int32
	}{
		"manifest 503":                 {manifest, status(503), 4},
		"manifest 429 soon":            {manifest, status(429, "Retry-After", "0.01"), 4},
		"manifest 429, too long":       {manifest, status(429, "Retry-After", "60"), 1},
		"manifest 404":                 {manifest, status(404), 2}, // and /v2/ for a challenge
		"manifest 501":                 {manifest, status(501), 1},
		"manifest, lost connection":    {manifest, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 4},
		"blob 503 is for the caller":   {blob, status(503), 1},
		"blob, lost connection":        {blob, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2},
		"blob, Location without sense": {blob, status(307, "Location", "http://[::1"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
				requests.Add(1)
				test.answer(w, req)
			})
			asError(t, test.ask(client(t, server.URL)))
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

// status answers with code and headers.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Length", strconv.Itoa(0))
		w.WriteHeader(code)
	}
}

func TestAHostThatDoesNotExistIsNotAskedAgain(t *testing.T) {
	for _, test := range []struct {
		about string
		err   error
		again bool
	}{
		{"no such host", &net.DNSError{Err: "no such host", IsNotFound: true}, false},
		{"the name server fails", &net.DNSError{Err: "server misbehaving", IsTemporary: true}, true},
	} {
		err := &url.Error{Op: "Get", URL: "http://none.example", Err: &net.OpError{Op: "dial", Err: test.err}}
		if again, _ := (retries{}).check(t.Context(), nil, err); again != test.again {
			t.Errorf("%s: asked again: %v", test.about, again)
		}
	}
}
