package soak

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// severity is the effect of a fault on a mirror that always has it.
type severity int

const (
	mild   severity = iota // the mirror still serves every blob
	severe                 // it serves none, but does if the fault hits only some requests
	total                  // segpull may stop asking it
)

// faultKind is a way in which mirrors misbehave. draw makes a fault of the kind,
// and describes it.
type faultKind struct {
	name     string
	severity severity
	whole    bool // it answers ranges with whole blobs
	cuts     bool // no response contains a large blob up to its end
	draw     func(rnd random) (string, rt.Fault)
}

// faultKinds are all that registrytest can do without changing bytes.
var faultKinds = []faultKind{
	// The connection.
	{"dying connections", mild, false, true, func(rnd random) (string, rt.Fault) {
		lo := rnd.size(128*kib, mib)
		hi := lo + rnd.size(1, mib)
		return fmt.Sprintf("after %d to %d bytes", lo, hi), rt.CutBetween(lo, hi)
	}},
	{"reset connections", mild, false, true, func(rnd random) (string, rt.Fault) {
		n := rnd.size(128*kib, 2*mib)
		return fmt.Sprintf("after %d bytes", n), rt.ResetAfter(n)
	}},
	{"truncated bodies", mild, false, true, func(rnd random) (string, rt.Fault) {
		n := rnd.size(128*kib, 2*mib)
		return fmt.Sprintf("after %d bytes", n), rt.Truncate(n)
	}},
	{"pauses", mild, false, false, func(rnd random) (string, rt.Fault) {
		n, pause := rnd.size(1, mib), rnd.duration(50*time.Millisecond, 3*time.Second)
		return fmt.Sprintf("for %s after %d bytes", pause, n), rt.PauseAfter(n, pause)
	}},
	{"latency", mild, false, false, func(rnd random) (string, rt.Fault) {
		l := rnd.duration(time.Millisecond, 300*time.Millisecond)
		return fmt.Sprintf("of %s", l), rt.Latency(l)
	}},
	{"slow first bytes", mild, false, false, func(rnd random) (string, rt.Fault) {
		l := rnd.duration(time.Millisecond, 300*time.Millisecond)
		return fmt.Sprintf("of %s per MiB", l), rt.FirstByteDelay(l)
	}},
	{"stalls", severe, false, true, func(rnd random) (string, rt.Fault) {
		n := rnd.size(1, mib)
		return fmt.Sprintf("after %d bytes", n), rt.StallAfter(n)
	}},
	{"trickles", severe, false, true, func(rnd random) (string, rt.Fault) {
		rate := rnd.size(100, 20*kib)
		return fmt.Sprintf("at %d bytes a second", rate), rt.Trickle(rate)
	}},
	{"no answer", severe, false, false, always(rt.Hang())},
	{"headers without end", severe, false, false, always(rt.EndlessHeaders(0))},
	{"slow headers without end", severe, false, false, always(rt.EndlessHeaders(50 * time.Millisecond))},
	{"bodies without end", severe, false, false, always(rt.All(rt.NoContentLength(), rt.Endless()).On(rt.KindBlob, rt.KindCDN))},

	// Limits.
	{"429 beyond some connections", mild, false, false, func(rnd random) (string, rt.Fault) {
		n := rnd.between(1, 4)
		return fmt.Sprintf("%d", n), rt.MaxConcurrent(n)
	}},
	{"429 beyond a budget", mild, false, false, func(rnd random) (string, rt.Fault) {
		n, window := rnd.between(10, 30), rnd.duration(200*time.Millisecond, 2*time.Second)
		return fmt.Sprintf("of %d in %s", n, window), rt.Budget(n, window)
	}},
	{"Retry-After", severe, false, false, func(rnd random) (string, rt.Fault) {
		code, after := pick(rnd, 429, 503), drawRetryAfter(rnd)
		return fmt.Sprintf("%[2]q with %[1]d", code, after), rt.RetryAfter(code, after)
	}},
	{"Daocloud", total, false, false, always(rt.Daocloud())},
	{"Retry-After without end", total, false, false, always(rt.RetryAfter(429, "99999999999"))},

	// Answers.
	{"errors", severe, false, false, func(rnd random) (string, rt.Fault) {
		code := pick(rnd, 500, 502, 503, 504, 429, 408, 204, 418, 999)
		return fmt.Sprintf("with %d", code), rt.Status(code)
	}},
	{"refusals", total, false, false, func(rnd random) (string, rt.Fault) {
		code := pick(rnd, 404, 403, 401, 410, 451)
		return fmt.Sprintf("with %d", code), rt.Status(code)
	}},
	{"401 in circles", total, false, false, always(rt.Bearer(rt.Auth{Lifetime: -1}))},
	{"a realm that is not a URL", total, false, false, always(rt.Bearer(rt.Auth{Realm: "::"}))},
	{"no HEAD", mild, false, false, always(rt.HeadMissing())},
	{"a captive portal", severe, false, false, always(rt.CaptivePortal())},
	{"redirects in circles", severe, false, false, always(rt.RedirectLoop())},
	{"odd redirects", severe, false, false, func(rnd random) (string, rt.Fault) {
		to := pick(rnd, "ftp://127.0.0.1/blob", "file:///etc/passwd", "http://[::1", "", "http://127.0.0.1:1/")
		return fmt.Sprintf("to %q", to), rt.RedirectTo(to)
	}},
	{"a header of a megabyte", severe, false, false, always(rt.Header("X-Large", strings.Repeat("x", mib)))},

	// Ranges.
	{"200 to ranges", mild, true, false, always(rt.IgnoreRange())},
	{"200 to ranges until it holds the blob", mild, true, false, always(rt.PullThroughCache())},
	{"a Harbor that fills", mild, true, false, always(rt.HarborProxy())},
	{"Nexus's Content-Range", severe, false, false, always(rt.NexusContentRange())},
	{"moved ranges", severe, false, false, func(rnd random) (string, rt.Fault) {
		by := rnd.Int64N(2000) - 1000
		return fmt.Sprintf("by %d", by), rt.ShiftRange(by)
	}},
	{"clipped ranges", severe, false, true, func(rnd random) (string, rt.Fault) {
		n := rnd.size(1, mib)
		return fmt.Sprintf("to %d bytes", n), rt.ClipRange(n)
	}},
	{"wrong Content-Range", severe, false, false, func(rnd random) (string, rt.Fault) {
		wrong := pick(rnd, wrongRanges...)
		return fmt.Sprintf("%q for bytes 0-999/5000", wrong(0, 1000, 5000)), rt.ContentRange(wrong)
	}},

	// Bodies.
	{"wrong Content-Length", severe, false, false, func(rnd random) (string, rt.Fault) {
		by := rnd.Int64N(4000) - 2000
		return fmt.Sprintf("by %d", by), rt.ContentLength(by)
	}},
	{"no Content-Length", mild, false, false, always(rt.NoContentLength())},
	{"gzip", severe, false, false, always(rt.GzipEncoding())},
}

// wrongRanges are values of Content-Range that do not match the request.
var wrongRanges = []func(start, end, size int64) string{
	func(_, _, _ int64) string { return "" },
	func(_, _, _ int64) string { return "bytes" },
	func(_, _, size int64) string { return fmt.Sprintf("bytes */%d", size) },
	func(start, end, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", start+1, end, size) },
	func(start, end, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", start, end-1, size+1) },
	func(_, _, _ int64) string { return "bytes -9223372036854775808-9223372036854775807/*" },
}

func always(fault rt.Fault) func(random) (string, rt.Fault) {
	return func(random) (string, rt.Fault) { return "", fault }
}

// drawRetryAfter is a correct value, or a wrong one that registries have sent.
func drawRetryAfter(rnd random) string {
	return pick(rnd, "0", "1", "2", "880.092µs", "-1", "soon", "-1e309", "", "1.5",
		time.Now().Add(time.Second).UTC().Format(http.TimeFormat), "Mon, 01 Jan 0001 00:00:00 GMT")
}
