package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Docker's image manifests, version 2 schema 1 and schema 2.
const (
	dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	dockerSchema1      = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1JWS   = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerManifestList
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifest
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
// hints that is known (an index's word, Content-Type), else what its fields make it.
func parseDocument(body []byte, hints ...string) (document, error) {
	if len(body) > MaxManifestSize {
		return document{}, fmt.Errorf("%d bytes; a manifest has at most %d", len(body), MaxManifestSize)
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return document{}, fmt.Errorf("no manifest but %.40q: %.200w; does a proxy or login page answer for the registry?", body, err)
	}
	if doc.MediaType == "" {
		doc.MediaType = guess(doc, hints)
	}
	switch {
	case doc.SchemaVersion == 1, doc.MediaType == dockerSchema1, doc.MediaType == dockerSchema1JWS:
		return document{}, errors.New("a manifest of Docker schema 1, which is out of use since 2019; the image must be pushed anew by a current client")
	case isIndex(doc.MediaType):
		return doc, doc.checkIndex()
	case isManifest(doc.MediaType):
		return doc, doc.checkManifest()
	}
	return document{}, fmt.Errorf("media type %.100q is neither an image manifest nor an index", doc.MediaType)
}

func guess(doc document, hints []string) string {
	for _, hint := range hints {
		mediaType, _, _ := mime.ParseMediaType(hint)
		if isIndex(mediaType) || isManifest(mediaType) || mediaType == dockerSchema1 || mediaType == dockerSchema1JWS {
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
var errAmbiguous = errors.New("it has the fields of an index and of a manifest, so it is ambiguous")

func (d document) checkIndex() error {
	if d.Config != nil || d.Layers != nil {
		return errAmbiguous
	}
	return nil
}

func (d document) checkManifest() error {
	if d.Manifests != nil {
		return errAmbiguous
	}
	if d.Config == nil {
		return errors.New("a manifest without a config")
	}
	return nil
}
