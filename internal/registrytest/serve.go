package registrytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Kind is the kind of a request.
type Kind string

// The kinds of requests. Any HEAD is a KindHead.
const (
	KindPing     Kind = "ping" // GET /v2/
	KindManifest Kind = "manifest"
	KindBlob     Kind = "blob"
	KindHead     Kind = "head"
	KindUpload   Kind = "upload" // POST and PUT under blobs/uploads/
	KindToken    Kind = "token"  // GET /token or …/token, with Bearer
	KindCDN      Kind = "cdn"    // GET /cdn/…, where SignedRedirect leads
	KindOther    Kind = "other"
)

const (
	tokenPath = "/token"
	cdnPath   = "/cdn/"
)

var resource = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([^/]+)$`)

// route reads a request's path: its kind, repository and reference.
func route(path string) (kind Kind, name, reference string) {
	if m := upload.FindStringSubmatch(path); m != nil {
		return KindUpload, m[1], m[2]
	}
	switch m := resource.FindStringSubmatch(path); {
	case path == "/v2/" || path == "/v2":
		return KindPing, "", ""
	case m == nil && strings.HasSuffix(path, tokenPath):
		return KindToken, "", ""
	case strings.HasPrefix(path, cdnPath):
		return KindCDN, "", strings.TrimPrefix(path, cdnPath)
	case m == nil:
		return KindOther, "", ""
	case m[2] == "manifests":
		return KindManifest, m[1], m[3]
	default:
		return KindBlob, m[1], m[3]
	}
}

// serve is the registry without faults.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	ex := exchangeOf(r)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.servePush(w, r, ex)
		return
	}
	switch ex.resource {
	case KindPing:
		writeJSON(w, struct{}{})
	case KindManifest:
		s.serveManifest(w, r, ex)
	case KindBlob:
		s.serveBlob(w, r, ex)
	case KindCDN:
		serveCDN(w, r, ex)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) serveManifest(w http.ResponseWriter, r *http.Request, ex *exchange) {
	manifest, ok := s.manifest(ex.name, ex.Reference)
	switch {
	case !s.has(ex.name):
		writeError(w, http.StatusNotFound, "NAME_UNKNOWN")
	case !ok:
		writeError(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
	default:
		r = withoutRange(r) // no registry promises ranges of manifests
		serveContent(w, r, manifest, manifest.MediaType)
	}
}

func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request, ex *exchange) {
	switch {
	case !s.has(ex.name):
		writeError(w, http.StatusNotFound, "NAME_UNKNOWN")
	case ex.blob.ReaderAt == nil:
		writeError(w, http.StatusNotFound, "BLOB_UNKNOWN")
	default:
		sendBlob(w, r, ex)
	}
}

func sendBlob(w http.ResponseWriter, r *http.Request, ex *exchange) {
	start, _, ok := parseRange(r, ex.blob.Size)
	if !ok {
		r = withoutRange(r)
	}
	ex.offset = start
	serveContent(w, r, ex.blob, "application/octet-stream")
}

func serveContent(w http.ResponseWriter, r *http.Request, b Blob, mediaType string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", b.Digest.String())
	w.Header().Set("Etag", strconv.Quote(b.Digest.String()))
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(b, 0, b.Size))
}

// parseRange reads bytes=a-b and bytes=a- for content of size bytes, and returns
// [start,end). For any other value it returns the whole content.
func parseRange(r *http.Request, size int64) (start, end int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if !found || err != nil {
		return 0, size, false
	}
	end, err = strconv.ParseInt(last, 10, 64)
	switch {
	case last == "":
		return start, size, true
	case err != nil:
		return 0, size, false
	}
	return start, min(end+1, size), true
}

func withRange(r *http.Request, start, end int64) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	return r
}

func withoutRange(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// lookUp returns the blob that a path names, or a zero Blob.
func (s *Server) lookUp(kind Kind, name, reference string) Blob {
	var b Blob
	switch kind {
	case KindBlob:
		b, _ = s.blob(name, digest.Digest(reference))
	case KindCDN:
		b, _ = s.anywhere(digest.Digest(reference))
	}
	return b
}

func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("registrytest: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// writeError writes an error of the distribution specification.
func writeError(w http.ResponseWriter, status int, code string) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]entry{"errors": {{code, strings.ToLower(http.StatusText(status))}}})
	if err != nil {
		panic("registrytest: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// codeOf returns the error code for a status.
func codeOf(status int, kind Kind) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "DENIED"
	case http.StatusTooManyRequests:
		return "TOOMANYREQUESTS"
	case http.StatusNotFound:
		if kind == KindManifest {
			return "MANIFEST_UNKNOWN"
		}
		return "BLOB_UNKNOWN"
	default:
		return "UNKNOWN"
	}
}
