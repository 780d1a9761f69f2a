package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/readable"
)

// Media types of Docker's schema 2, as [ocispec] has those of OCI: of an index and of a
// manifest.
const (
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

// Media types of Docker's schema 1.
const (
	dockerSchema1    = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1JWS = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// IsIndex reports whether a media type is that of an index, of OCI or of Docker.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == MediaTypeDockerList
}

// IsManifest reports whether a media type is that of a manifest of one image, of OCI or
// of Docker.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == MediaTypeDockerManifest
}

// document has the fields of manifests and indexes alike: a body may say by its fields alone what it is.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Manifests     []ocispec.Descriptor `json:"manifests"` // of an index
	Config        *ocispec.Descriptor  `json:"config"`    // of a manifest
	Layers        []ocispec.Descriptor `json:"layers"`    // of a manifest
}

// parseDocument reads a manifest or an index. Its media type is the one in the body, else the first of
// hints that is known (an index's word, Content-Type), else what its fields make it. The error is an
// *[UnusableError] without a digest.
func parseDocument(body []byte, hints ...string) (document, error) {
	if len(body) > MaxManifestSize {
		return document{}, unusable("%d bytes; a manifest has at most %d", len(body), MaxManifestSize)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return document{}, unusable("no manifest but an empty answer")
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return document{}, noDocument(body, err)
	}
	if doc.MediaType == "" {
		doc.MediaType = guess(doc, hints)
	}
	switch {
	case doc.SchemaVersion == 1, doc.MediaType == dockerSchema1, doc.MediaType == dockerSchema1JWS:
		return document{}, unusable("a manifest of Docker schema 1, which is out of use since 2019; push the image again with a current client")
	case IsIndex(doc.MediaType):
		return doc, doc.checkIndex()
	case IsManifest(doc.MediaType):
		return doc, doc.checkManifest(body)
	case doc.MediaType == "":
		return document{}, &UnusableError{Err: errNeither, Text: quote(body)}
	}
	return document{}, unusable("media type %.100q is neither an image manifest nor an index", doc.MediaType)
}

// Refers reads a manifest or an index, and returns its media type and what it names: layers or
// manifests, and then the config. The media type is the one in the body, else that of an answer's
// Content-Type if it is known, else what the fields of the body make it. The error is an
// *[UnusableError] without a digest.
func Refers(body []byte, contentType string) (mediaType string, refers []ocispec.Descriptor, err error) {
	doc, err := parseDocument(body, contentType)
	if err != nil {
		return "", nil, err
	}
	refers = slices.Concat(doc.Layers, doc.Manifests)
	if doc.Config != nil {
		refers = append(refers, *doc.Config)
	}
	return doc.MediaType, refers, nil
}

func unusable(format string, args ...any) error {
	return &UnusableError{Err: fmt.Errorf(format, args...)}
}

// noDocument explains an error of the JSON parser: it distinguishes a page, an error in JSON, and a
// manifest whose fields have other types.
func noDocument(body []byte, err error) error {
	body = bytes.TrimSpace(body)
	switch {
	case !json.Valid(body):
		if readable.IsPage(body) {
			return &UnusableError{Err: errors.New("a web page in place of a manifest"), Text: quote(body)}
		}
		return &UnusableError{Err: fmt.Errorf("text that is not JSON in place of a manifest: %.200w", err), Text: quote(body)}
	case body[0] == '{' && readable.Message(body) == "":
		return unusable("no manifest but %.40q: %.200w", body, err)
	}
	return &UnusableError{Err: errNeither, Text: quote(body)}
}

var errNeither = errors.New("neither an image manifest nor an index")

func guess(doc document, hints []string) string {
	for _, hint := range hints {
		mediaType, _, _ := mime.ParseMediaType(hint)
		if IsIndex(mediaType) || IsManifest(mediaType) || mediaType == dockerSchema1 || mediaType == dockerSchema1JWS {
			return mediaType
		}
	}
	// Docker's schema 2 requires the field, OCI does not, so what lacks it is OCI.
	switch {
	case doc.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	case doc.Config != nil:
		return ocispec.MediaTypeImageManifest
	}
	return ""
}

// A body that is both could be read as one thing here and as another elsewhere (CVE-2021-41190).
const ambiguous = "it has the fields of an index and of a manifest, so it is ambiguous"

func (d document) checkIndex() error {
	if d.Config != nil || d.Layers != nil {
		return unusable(ambiguous)
	}
	return nil
}

func (d document) checkManifest(body []byte) error {
	if d.Manifests != nil {
		return unusable(ambiguous)
	}
	if d.Config == nil {
		return &UnusableError{Err: errors.New("a manifest without a config"), Text: readable.Message(body)}
	}
	return nil
}
