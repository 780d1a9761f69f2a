package registrytest

import (
	"io"
	"net/http"
)

// WrongSize serves a blob with delta more bytes than the manifest says, or fewer if delta
// is negative. All headers fit the body. ImageOptions.EditManifest makes the opposite, a
// manifest with a wrong size of a right blob (podman-container-tools/skopeo#1054,
// moby/buildkit#2568).
func WrongSize(delta int64) Fault {
	return before(func(_ http.ResponseWriter, r *http.Request) bool {
		ex := exchangeOf(r)
		ex.server.resize(ex, delta)
		return true
	})
}

// resize answers as for a blob of another size. The additional bytes are random.
func (s *Server) resize(ex *exchange, delta int64) {
	if ex.blob.ReaderAt == nil {
		return
	}
	size := max(ex.blob.Size+delta, 0)
	content := section(ex.blob, min(ex.blob.Size, size))
	if delta > 0 {
		content = newConcat(content, section(newNoise(0x512e), delta))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ex.blob.ReaderAt, ex.blob.Size = content, size
}

// EmptyBlob answers 200 with Content-Length: 0, like a store after an interrupted upload.
func EmptyBlob() Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	})
}

// Unsatisfiable does the same as EmptyBlob, and answers 416 with Content-Range: bytes */0
// to ranges.
func Unsatisfiable() Fault {
	return All(instead(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes */0")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		_, _ = io.WriteString(w, "requested range not satisfiable\n")
	}).When(func(r *http.Request) bool { return r.Header.Get("Range") != "" }), EmptyBlob()).On(KindBlob, KindCDN)
}
