package registrytest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// IgnoreRange answers 200 with the whole blob.
func IgnoreRange() Fault {
	return asking(func(r *http.Request, _ int64) *http.Request { return withoutRange(r) })
}

// ShiftRange answers with a range that begins and ends some bytes after the requested
// one, and says so in Content-Range.
func ShiftRange(by int64) Fault {
	return asking(func(r *http.Request, size int64) *http.Request {
		start, end, ok := parseRange(r, size)
		if !ok {
			return r
		}
		return withRange(r, start+by, end+by)
	})
}

// ClipRange answers with the first n bytes of a longer range, as RFC 9110,
// sections 14.2 and 15.3.7 allow, and says so in Content-Range
// (yhirose/cpp-httplib#1862).
func ClipRange(n int64) Fault {
	return asking(func(r *http.Request, size int64) *http.Request {
		start, end, ok := parseRange(r, size)
		if !ok || end-start <= n {
			return r
		}
		return withRange(r, start, start+n)
	})
}

// asking returns a fault that changes the request.
func asking(change func(r *http.Request, size int64) *http.Request) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, change(r, exchangeOf(r).blob.Size))
		})
	})
}

// RangeRefused answers with a status such as 416, 400, 403 or 501 to each
// request that has a Range header, and serves the blob to those without one
// (kubernetes/registry.k8s.io#333, block/buzz#4079).
func RangeRefused(status int) Fault {
	return Status(status).When(func(r *http.Request) bool { return r.Header.Get("Range") != "" })
}

// RangeRefusedInside does the same as RangeRefused, only for ranges that do not begin
// at 0: it affects a pull when that resumes or splits a blob.
func RangeRefusedInside(status int) Fault {
	return RangeRefused(status).When(func(r *http.Request) bool {
		start, _, ok := parseRange(r, exchangeOf(r).blob.Size)
		return !ok || start > 0
	})
}

// MultipartRanges answers a range as multipart/byteranges with one part. RFC
// 9110, section 15.3.7.2 forbids that for a request of one range.
func MultipartRanges() Fault {
	return through(func(w http.ResponseWriter, _ *http.Request) *hooked {
		var head, tail string
		return &hooked{
			header: func(status int, h http.Header) {
				if status == http.StatusPartialContent {
					head, tail = asMultipart(h)
				}
			},
			body: func(p []byte) (int, error) {
				if _, err := io.WriteString(w, head); err != nil {
					return 0, err
				}
				head = ""
				return w.Write(p)
			},
			end: func() { _, _ = io.WriteString(w, tail) },
		}
	})
}

// asMultipart makes the header of an answer that of a multipart one, and returns
// what goes before its body and after it.
func asMultipart(h http.Header) (head, tail string) {
	const boundary = "registrytest"
	head = fmt.Sprintf("--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
		boundary, h.Get("Content-Type"), h.Get("Content-Range"))
	tail = "\r\n--" + boundary + "--\r\n"
	length, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	h.Set("Content-Length", strconv.FormatInt(length+int64(len(head)+len(tail)), 10))
	h.Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	h.Del("Content-Range")
	return head, tail
}

// RangeAs200 sends a part and its Content-Range with status 200 in place of 206, as if
// the body were the whole blob.
func RangeAs200() Fault {
	return through(func(http.ResponseWriter, *http.Request) *hooked {
		return &hooked{status: func(status int) int {
			if status == http.StatusPartialContent {
				return http.StatusOK
			}
			return status
		}}
	})
}
