package registrytest

import (
	"net/http"
	"strings"
)

// RedirectAll redirects each request, also those for /v2/ and manifests, to the same
// path of another origin, such as https://host:port, with status 301, 307 or 308
// (goharbor/harbor#6122).
func RedirectAll(target string, status int) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", strings.TrimSuffix(target, "/")+r.URL.RequestURI())
		w.WriteHeader(status)
	}).On()
}

// SignedLinkOnHost redirects requests for blobs to a URL of the registry's own host and
// port, with a signature in its query. That URL answers 400 to each request with an
// Authorization header (moby/moby#50065, minio/minio#5155).
func SignedLinkOnHost() Fault {
	return linkOnHost("?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1200&X-Amz-SignedHeaders=host" +
		"&X-Amz-Signature=" + sign("", ""))
}

// UnsignedLinkOnHost does the same as SignedLinkOnHost without a signature: only the 400
// shows the client that the URL needs no Authorization.
func UnsignedLinkOnHost() Fault { return linkOnHost("") }

func linkOnHost(query string) Fault {
	toLink := instead(func(w http.ResponseWriter, r *http.Request) {
		redirect(w, cdnPath+exchangeOf(r).Reference+query)
	}).On(KindBlob)
	link := instead(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "only one auth mechanism allowed", http.StatusBadRequest)
			return
		}
		sendBlob(w, r, exchangeOf(r))
	}).On(KindCDN)
	return All(toLink, link).On(KindBlob, KindCDN).
		When(func(r *http.Request) bool { return exchangeOf(r).blob.ReaderAt != nil })
}

// PathPrefix serves the registry behind a path such as /repository/hub, and answers 404
// elsewhere, as Nexus and Artifactory do (docker/compose#6894,
// GoogleContainerTools/jib#993). It has to be the first fault: the faults after it see
// the request without the prefix.
func PathPrefix(prefix string) Fault {
	prefix = "/" + strings.Trim(prefix, "/")
	return Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rest, found := strings.CutPrefix(r.URL.Path, prefix+"/")
			if !found {
				http.NotFound(w, r)
				return
			}
			ex := exchangeOf(r)
			r = r.Clone(r.Context())
			r.URL.Path = "/" + rest
			ex.server.reroute(ex, r)
			next.ServeHTTP(w, r)
		})
	}).On()
}
