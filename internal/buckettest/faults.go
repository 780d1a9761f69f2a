package buckettest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// Answer answers with an error of S3.
func Answer(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>no</Message></Error>", code)
		}
	}
}

// Hang leaves requests without an answer until the client ends them.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // until then, the end of the client does not show
		<-r.Context().Done()
	}
}

// Cut closes the connection without an answer.
func Cut() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// CutAfter sends so many bytes of each answer, and closes the connection then.
func CutAfter(n int) Fault {
	return body(func(w http.ResponseWriter, p []byte) {
		_, _ = w.Write(p[:min(n, len(p))])
		_ = http.NewResponseController(w).Flush()
		if n < len(p) {
			panic(http.ErrAbortHandler)
		}
	})
}

// Slow sends each answer at so many bytes a second.
func Slow(rate int) Fault {
	return body(func(w http.ResponseWriter, p []byte) {
		for len(p) > 0 {
			n := min(len(p), max(1, rate/20))
			if _, err := w.Write(p[:n]); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			p = p[n:]
			time.Sleep(time.Second / 20)
		}
	})
}

// Flip changes each byte of each answer.
func Flip() Fault {
	return body(func(w http.ResponseWriter, p []byte) {
		for i := range p {
			p[i] ^= 0xff
		}
		_, _ = w.Write(p)
	})
}

// On applies a fault to requests with one of these methods, for keys that contain part.
func (f Fault) On(part string, methods ...string) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, part) && strings.Contains(strings.Join(methods, " "), r.Method) {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// body sends the bodies of answers by write.
func body(write func(w http.ResponseWriter, p []byte)) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		write(w, answer.Body.Bytes())
	}
}
