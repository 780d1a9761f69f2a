package registrytest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"regexp"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxPushed bounds the memory for one upload.
const maxPushed = 256 << 20

var upload = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/([^/]*)$`)

// servePush takes what clients push: whole blobs in one PUT, mounts, and manifests whose
// blobs are there.
func (s *Server) servePush(w http.ResponseWriter, r *http.Request, ex *exchange) {
	switch {
	case ex.resource == KindUpload && r.Method == http.MethodPost:
		s.startUpload(w, r, ex)
	case ex.resource == KindUpload && r.Method == http.MethodPut:
		s.endUpload(w, r, ex)
	case ex.resource == KindUpload && r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case ex.resource == KindManifest && r.Method == http.MethodPut:
		s.putManifest(w, r, ex)
	default:
		writeError(w, http.StatusMethodNotAllowed, "UNSUPPORTED")
	}
}

func (s *Server) startUpload(w http.ResponseWriter, r *http.Request, ex *exchange) {
	mount := digest.Digest(r.URL.Query().Get("mount"))
	if b, ok := s.blob(r.URL.Query().Get("from"), mount); ok {
		s.AddBlob(ex.name, b)
		created(w, mount)
		return
	}
	w.Header().Set("Location", r.URL.Path+rand.Text()+"?_state=secret")
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) endUpload(w http.ResponseWriter, r *http.Request, ex *exchange) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPushed))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	want := digest.Digest(r.URL.Query().Get("digest"))
	if digest.FromBytes(body) != want || r.URL.Query().Get("_state") != "secret" {
		writeError(w, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	s.AddBlob(ex.name, Blob{Descriptor: ocispec.Descriptor{Digest: want, Size: int64(len(body))}, ReaderAt: bytes.NewReader(body)})
	created(w, want)
}

func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, ex *exchange) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPushed))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var refers struct {
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Manifests []ocispec.Descriptor
	}
	if json.Unmarshal(body, &refers) != nil {
		writeError(w, http.StatusBadRequest, "MANIFEST_INVALID")
		return
	}
	if refers.Config != nil {
		refers.Layers = append(refers.Layers, *refers.Config)
	}
	for _, b := range refers.Layers {
		if _, ok := s.blob(ex.name, b.Digest); !ok {
			writeError(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
			return
		}
	}
	for _, m := range refers.Manifests {
		if _, ok := s.manifest(ex.name, m.Digest.String()); !ok {
			writeError(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
			return
		}
	}
	manifest := NewBlob(r.Header.Get("Content-Type"), body)
	tag := ex.Reference
	if tag == manifest.Digest.String() {
		tag = ""
	}
	s.AddManifest(ex.name, tag, manifest)
	created(w, manifest.Digest)
}

func created(w http.ResponseWriter, d digest.Digest) {
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
}
