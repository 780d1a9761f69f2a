package registrytest

import (
	"io"
	"net/http"
)

// Status answers with an error of the distribution specification.
func Status(code int) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, code, codeOf(code, exchangeOf(r).resource))
	})
}

// RetryAfter is Status with a Retry-After of any form: "5", a date,
// "880.092µs" as GHCR has sent.
func RetryAfter(code int, value string) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", value)
		writeError(w, code, codeOf(code, exchangeOf(r).resource))
	})
}

// HeadMissing answers 404 to HEAD of blobs.
func HeadMissing() Fault {
	return Status(http.StatusNotFound).On(KindHead).When(func(r *http.Request) bool {
		return exchangeOf(r).resource == KindBlob
	})
}

// CaptivePortal answers 200 with a page of HTML.
func CaptivePortal() Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Welcome</title><p>Please sign in to use this network.")
	})
}

// RedirectTo sends the client to another address.
func RedirectTo(location string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) { redirect(w, location) })
}

// RedirectLoop sends the client back to where it is.
func RedirectLoop() Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) { redirect(w, r.URL.RequestURI()) })
}

func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusTemporaryRedirect)
}
