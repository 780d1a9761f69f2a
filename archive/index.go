package archive

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mergeIndex adds an image to an index.json, in place of one of the same name. All other fields stay, also
// unknown ones. If old is empty, the index is new. If another image has the same ref name (two images tagged
// latest), the ref name of the new image is its full name: umoci finds duplicates ambiguous, and skopeo
// would take the first.
func mergeIndex(old []byte, add ocispec.Descriptor) ([]byte, error) {
	index, entries, err := parseIndex(old)
	if err != nil {
		return nil, err
	}
	kept := []json.RawMessage{}
	for i, raw := range entries {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("manifest %d: %w", i+1, err)
		}
		if e.sameImage(add) {
			continue
		}
		kept = append(kept, raw)
		if ref := add.Annotations[ocispec.AnnotationRefName]; ref != "" && ref == e.Annotations[ocispec.AnnotationRefName] {
			add.Annotations[ocispec.AnnotationRefName] = add.Annotations[nameAnnotation]
		}
	}
	index["manifests"] = encode(append(kept, encode(add)))
	return encode(index), nil
}

// parseIndex returns the fields of an index.json and its entries, as raw JSON.
func parseIndex(raw []byte) (fields map[string]json.RawMessage, entries []json.RawMessage, err error) {
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, nil, err
		}
	}
	if fields == nil {
		fields = map[string]json.RawMessage{"schemaVersion": encode(2), "mediaType": encode(ocispec.MediaTypeImageIndex)}
	}
	if manifests, ok := fields["manifests"]; ok {
		err = json.Unmarshal(manifests, &entries)
	}
	return fields, entries, err
}

// entry is the part of a descriptor in index.json that distinguishes images.
type entry struct {
	Digest      digest.Digest     `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// sameImage compares the full names of images if the entry has one, as containerd and BuildKit write it;
// otherwise the ref names, since other tools write no more.
func (e entry) sameImage(add ocispec.Descriptor) bool {
	name, ref := e.Annotations[nameAnnotation], e.Annotations[ocispec.AnnotationRefName]
	switch {
	case add.Annotations == nil: // without a name
		return e.Digest == add.Digest && name == "" && ref == ""
	case name != "":
		return name == add.Annotations[nameAnnotation]
	}
	return ref == add.Annotations[ocispec.AnnotationRefName]
}
