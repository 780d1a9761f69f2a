package registrytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// SignedRedirect redirects requests for blobs to a CDN, by a URL that is valid for some
// time. The CDN is a Mirror of this server with the address cdnURL. Like S3, it answers
// 403 when the URL has expired, and 400 to requests with an Authorization header.
func SignedRedirect(cdnURL string, lifetime time.Duration) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		digest := exchangeOf(r).Reference
		expires := strconv.FormatInt(time.Now().Add(lifetime).UnixNano(), 10)
		redirect(w, fmt.Sprintf("%s%s%s?expires=%s&signature=%s",
			strings.TrimSuffix(cdnURL, "/"), cdnPath, digest, expires, sign(digest, expires)))
	}).On(KindBlob).When(func(r *http.Request) bool { return exchangeOf(r).blob.ReaderAt != nil })
}

func sign(digest, expires string) string {
	mac := hmac.New(sha256.New, []byte("registrytest"))
	fmt.Fprintf(mac, "%s %s", digest, expires)
	return hex.EncodeToString(mac.Sum(nil))
}

func serveCDN(w http.ResponseWriter, r *http.Request, ex *exchange) {
	expires := r.URL.Query().Get("expires")
	deadline, _ := strconv.ParseInt(expires, 10, 64)
	switch {
	case r.Header.Get("Authorization") != "":
		http.Error(w, "only one authentication mechanism is allowed", http.StatusBadRequest)
	case r.URL.Query().Get("signature") != sign(ex.Reference, expires):
		http.Error(w, "the signature is wrong", http.StatusForbidden)
	case time.Now().UnixNano() >= deadline:
		http.Error(w, "the address has expired", http.StatusForbidden)
	case ex.blob.ReaderAt == nil:
		http.NotFound(w, r)
	default:
		sendBlob(w, r, ex)
	}
}
