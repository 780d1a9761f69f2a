package soak

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// harm is what a fault does to a mirror that always has it.
type harm int

const (
	slight harm = iota // it still serves every blob
	grave              // it serves none; if it has it now and then, it does
	fatal              // it need not be asked again
)

// ill is a way in which mirrors misbehave; draw makes one of its kind, and
// tells its particulars.
type ill struct {
	name  string
	harm  harm
	whole bool // answers are whole blobs
	cuts  bool // no response has a large blob to its end
	draw  func(d dice) (string, rt.Fault)
}

// ills are all that registrytest can do to the way that true bytes take.
var ills = []ill{
	// The connection.
	{"dying connections", slight, false, true, func(d dice) (string, rt.Fault) {
		lo := d.size(128*kib, mib)
		hi := lo + d.size(1, mib)
		return fmt.Sprintf("after %d to %d bytes", lo, hi), rt.CutBetween(lo, hi)
	}},
	{"reset connections", slight, false, true, func(d dice) (string, rt.Fault) {
		n := d.size(128*kib, 2*mib)
		return fmt.Sprintf("after %d bytes", n), rt.ResetAfter(n)
	}},
	{"truncated bodies", slight, false, true, func(d dice) (string, rt.Fault) {
		n := d.size(128*kib, 2*mib)
		return fmt.Sprintf("after %d bytes", n), rt.Truncate(n)
	}},
	{"pauses", slight, false, false, func(d dice) (string, rt.Fault) {
		n, pause := d.size(1, mib), d.span(50*time.Millisecond, 3*time.Second)
		return fmt.Sprintf("for %s after %d bytes", pause, n), rt.PauseAfter(n, pause)
	}},
	{"latency", slight, false, false, func(d dice) (string, rt.Fault) {
		l := d.span(time.Millisecond, 300*time.Millisecond)
		return fmt.Sprintf("of %s", l), rt.Latency(l)
	}},
	{"slow first bytes", slight, false, false, func(d dice) (string, rt.Fault) {
		l := d.span(time.Millisecond, 300*time.Millisecond)
		return fmt.Sprintf("of %s per MiB", l), rt.FirstByteDelay(l)
	}},
	{"stalls", grave, false, true, func(d dice) (string, rt.Fault) {
		n := d.size(1, mib)
		return fmt.Sprintf("after %d bytes", n), rt.StallAfter(n)
	}},
	{"trickles", grave, false, true, func(d dice) (string, rt.Fault) {
		rate := d.size(100, 20*kib)
		return fmt.Sprintf("at %d bytes a second", rate), rt.Trickle(rate)
	}},
	{"no answer", grave, false, false, always(rt.Hang())},
	{"headers without end", grave, false, false, always(rt.EndlessHeaders(0))},
	{"slow headers without end", grave, false, false, always(rt.EndlessHeaders(50 * time.Millisecond))},
	{"bodies without end", grave, false, false, always(rt.All(rt.NoContentLength(), rt.Endless()).On(rt.KindBlob, rt.KindCDN))},

	// What it allows.
	{"429 beyond some connections", slight, false, false, func(d dice) (string, rt.Fault) {
		n := d.among(1, 4)
		return fmt.Sprintf("%d", n), rt.MaxConcurrent(n)
	}},
	{"429 beyond a budget", slight, false, false, func(d dice) (string, rt.Fault) {
		n, window := d.among(10, 30), d.span(200*time.Millisecond, 2*time.Second)
		return fmt.Sprintf("of %d in %s", n, window), rt.Budget(n, window)
	}},
	{"Retry-After", grave, false, false, func(d dice) (string, rt.Fault) {
		code, after := pick(d, 429, 503), drawRetryAfter(d)
		return fmt.Sprintf("%[2]q with %[1]d", code, after), rt.RetryAfter(code, after)
	}},
	{"Daocloud", fatal, false, false, always(rt.Daocloud())},
	{"Retry-After for ever", fatal, false, false, always(rt.RetryAfter(429, "99999999999"))},

	// Its answers.
	{"errors", grave, false, false, func(d dice) (string, rt.Fault) {
		code := pick(d, 500, 502, 503, 504, 429, 408, 204, 418, 999)
		return fmt.Sprintf("with %d", code), rt.Status(code)
	}},
	{"refusals", fatal, false, false, func(d dice) (string, rt.Fault) {
		code := pick(d, 404, 403, 401, 410, 451)
		return fmt.Sprintf("with %d", code), rt.Status(code)
	}},
	{"401 in circles", fatal, false, false, always(rt.Bearer(rt.Auth{Lifetime: -1}))},
	{"a realm that is no URL", fatal, false, false, always(rt.Bearer(rt.Auth{Realm: "::"}))},
	{"no HEAD", slight, false, false, always(rt.HeadMissing())},
	{"a captive portal", grave, false, false, always(rt.CaptivePortal())},
	{"redirects in circles", grave, false, false, always(rt.RedirectLoop())},
	{"odd redirects", grave, false, false, func(d dice) (string, rt.Fault) {
		to := pick(d, "ftp://127.0.0.1/blob", "file:///etc/passwd", "http://[::1", "", "http://127.0.0.1:1/")
		return fmt.Sprintf("to %q", to), rt.RedirectTo(to)
	}},
	{"a header of a megabyte", grave, false, false, always(rt.Header("X-Large", strings.Repeat("x", mib)))},

	// Ranges.
	{"200 to ranges", slight, true, false, always(rt.IgnoreRange())},
	{"200 to ranges until it holds the blob", slight, true, false, always(rt.PullThroughCache())},
	{"a Harbor that fills", slight, true, false, always(rt.HarborProxy())},
	{"Nexus's Content-Range", grave, false, false, always(rt.NexusContentRange())},
	{"moved ranges", grave, false, false, func(d dice) (string, rt.Fault) {
		by := d.Int64N(2000) - 1000
		return fmt.Sprintf("by %d", by), rt.ShiftRange(by)
	}},
	{"clipped ranges", grave, false, true, func(d dice) (string, rt.Fault) {
		n := d.size(1, mib)
		return fmt.Sprintf("to %d bytes", n), rt.ClipRange(n)
	}},
	{"wrong Content-Range", grave, false, false, func(d dice) (string, rt.Fault) {
		wrong := pick(d, wrongRanges...)
		return fmt.Sprintf("%q for bytes 0-999/5000", wrong(0, 1000, 5000)), rt.ContentRange(wrong)
	}},

	// Bodies.
	{"wrong Content-Length", grave, false, false, func(d dice) (string, rt.Fault) {
		by := d.Int64N(4000) - 2000
		return fmt.Sprintf("by %d", by), rt.ContentLength(by)
	}},
	{"no Content-Length", slight, false, false, always(rt.NoContentLength())},
	{"gzip", grave, false, false, always(rt.GzipEncoding())},
}

// wrongRanges are values of Content-Range that do not say what was asked for.
var wrongRanges = []func(start, end, size int64) string{
	func(_, _, _ int64) string { return "" },
	func(_, _, _ int64) string { return "bytes" },
	func(_, _, size int64) string { return fmt.Sprintf("bytes */%d", size) },
	func(start, end, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", start+1, end, size) },
	func(start, end, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", start, end-1, size+1) },
	func(_, _, _ int64) string { return "bytes -9223372036854775808-9223372036854775807/*" },
}

func always(fault rt.Fault) func(dice) (string, rt.Fault) {
	return func(dice) (string, rt.Fault) { return "", fault }
}

// drawRetryAfter is a value as it should be, or as registries have sent it.
func drawRetryAfter(d dice) string {
	return pick(d, "0", "1", "2", "880.092µs", "-1", "soon", "-1e309", "", "1.5",
		time.Now().Add(time.Second).UTC().Format(http.TimeFormat), "Mon, 01 Jan 0001 00:00:00 GMT")
}
