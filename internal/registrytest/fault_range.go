package registrytest

import "net/http"

// IgnoreRange answers 200 with the whole blob.
func IgnoreRange() Fault {
	return asking(func(r *http.Request, _ int64) *http.Request { return withoutRange(r) })
}

// ShiftRange answers with a range that begins and ends some bytes after what
// was asked for, and says so in Content-Range.
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
// section 14.2 allows, and says so in Content-Range.
func ClipRange(n int64) Fault {
	return asking(func(r *http.Request, size int64) *http.Request {
		start, end, ok := parseRange(r, size)
		if !ok || end-start <= n {
			return r
		}
		return withRange(r, start, start+n)
	})
}

// asking makes a fault that changes what the registry is asked for.
func asking(change func(r *http.Request, size int64) *http.Request) Fault {
	return Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, change(r, exchangeOf(r).blob.Size))
		})
	})
}
