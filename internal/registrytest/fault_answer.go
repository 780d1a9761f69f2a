package registrytest

import (
	"io"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// Status answers with an error of the distribution specification.
func Status(code int) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, code, codeOf(code, exchangeOf(r).resource))
	})
}

// RetryAfter does the same as Status, with a Retry-After of any form: "5", a date, or
// "880.092µs", which GHCR has sent.
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
	return Page(http.StatusOK, "<!doctype html><title>Welcome</title><p>Please sign in to use this network.")
}

// Page answers with a page of HTML, like an embargo, a firewall or a portal
// (docker/docs#10533, docker/hub-feedback#2103).
func Page(status int, html string) Fault { return answerWith(status, "text/html; charset=utf-8", html) }

// JSONError answers with a JSON body of any form, that of the
// distribution specification or another, and with any status, 200 included
// (containerd/containerd#5799, containerd/containerd#9552).
func JSONError(status int, body string) Fault { return answerWith(status, "application/json", body) }

// TagAnswers answers 200 with this body to requests for a manifest by tag, but not by
// digest: an error in JSON, schema 1, a page.
func TagAnswers(body, contentType string) Fault {
	return answerWith(http.StatusOK, contentType, body).On(KindManifest, KindHead).When(func(r *http.Request) bool {
		ex := exchangeOf(r)
		return ex.resource == KindManifest && digest.Digest(ex.Reference).Validate() != nil
	})
}

// answerWith answers in place of the registry. "" leaves Content-Type out.
func answerWith(status int, contentType, body string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		setHeader(w.Header(), "Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// RedirectTo redirects the client to another address.
func RedirectTo(location string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) { redirect(w, location) })
}

// RedirectLoop redirects the client to the URL of its request.
func RedirectLoop() Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) { redirect(w, r.URL.RequestURI()) })
}

func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusTemporaryRedirect)
}
