package registrytest

import (
	"fmt"
	"net/http"
	"strconv"
)

// ContentRange writes another Content-Range into 206 answers, whose body is
// [start,end) of size bytes. "" leaves the header out, as some proxies do
// (purposeindustries/express-range#1).
func ContentRange(format func(start, end, size int64) string) Fault {
	return through(func(_ http.ResponseWriter, r *http.Request) *hooked {
		ex := exchangeOf(r)
		return &hooked{header: func(status int, h http.Header) {
			if status != http.StatusPartialContent {
				return
			}
			length, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
			setHeader(h, "Content-Range", format(ex.offset, ex.offset+length, ex.blob.Size))
		}}
	})
}

// NexusContentRange leaves out the unit "bytes", as Sonatype Nexus did
// (sonatype/nexus-public#24).
func NexusContentRange() Fault {
	return ContentRange(func(start, end, size int64) string {
		return fmt.Sprintf("%d-%d/%d", start, end-1, size)
	})
}

// WrongTotal adds a number, which may be negative, to the total size in Content-Range.
// The part and its offsets stay right.
func WrongTotal(delta int64) Fault {
	return ContentRange(func(start, end, size int64) string {
		return fmt.Sprintf("bytes %d-%d/%d", start, end-1, size+delta)
	})
}

// ContentLength adds a number, which may be negative, to Content-Length. The body does
// not change, except that it ends where the header says.
func ContentLength(delta int64) Fault {
	return through(func(w http.ResponseWriter, _ *http.Request) *hooked {
		var left int64
		return &hooked{
			header: func(_ int, h http.Header) {
				length, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
				left = max(length+delta, 0)
				h.Set("Content-Length", strconv.FormatInt(left, 10))
			},
			body: func(p []byte) (int, error) {
				n, err := w.Write(p[:min(int64(len(p)), left)]) // net/http refuses to write more
				left -= int64(n)
				if err != nil {
					return n, err
				}
				return len(p), nil
			},
		}
	})
}

// NoContentLength sends bodies in HTTP's chunked coding.
func NoContentLength() Fault {
	return through(func(http.ResponseWriter, *http.Request) *hooked { return &hooked{header: dropLength} })
}

// Header sets a header of the answer; "" leaves it out.
func Header(name, value string) Fault {
	return through(func(http.ResponseWriter, *http.Request) *hooked {
		return &hooked{header: func(_ int, h http.Header) { setHeader(h, name, value) }}
	})
}

// ManifestType sends manifests with another Content-Type: a static server that
// knows no type for files without extension says text/html (moby/moby#19526).
// "" leaves the header out.
func ManifestType(contentType string) Fault {
	return Header("Content-Type", contentType).On(KindManifest)
}

// setHeader leaves a nil entry where the value is "", because net/http guesses
// a Content-Type for answers that have no entry at all.
func setHeader(h http.Header, name, value string) {
	if value == "" {
		h[http.CanonicalHeaderKey(name)] = nil
	} else {
		h.Set(name, value)
	}
}

func dropLength(_ int, h http.Header) { h.Del("Content-Length") }
