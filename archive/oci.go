package archive

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

const (
	blobsDir = ocispec.ImageBlobsDir + "/sha256"

	// nameAnnotation has the name that containerd, and Docker with containerd's image store, gives to the
	// image when it loads it.
	nameAnnotation = "io.containerd.image.name"
)

// blobPath returns the path of a blob. image.Image.Validate has checked its digest.
func blobPath(d digest.Digest) string { return blobsDir + "/" + d.Encoded() }

// ociLayout is the content of the file oci-layout.
func ociLayout() []byte {
	return encode(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// ociIndex is index.json for one image.
func ociIndex(img image.Image) []byte {
	return encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{indexEntry(img.Manifest, img.ArchiveName())},
	})
}

// indexEntry describes an image in index.json. One without a name has no annotations.
func indexEntry(root ocispec.Descriptor, name image.Reference) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}
	if name.Tag != "" {
		d.Annotations = map[string]string{
			nameAnnotation:            name.Name() + ":" + name.Tag,
			ocispec.AnnotationRefName: name.Tag,
		}
	}
	return d
}

// dockerManifest is an entry of manifest.json, as docker load reads it.
type dockerManifest struct {
	Config   string
	RepoTags []string // null if the image has no name, as docker save writes it
	Layers   []string // as many as the config has diff IDs
}

func dockerManifests(img image.Image) []byte {
	m := dockerManifest{Config: blobPath(img.Config.Digest), RepoTags: repoTags(img.ArchiveName()), Layers: []string{}}
	for _, layer := range img.Layers {
		m.Layers = append(m.Layers, blobPath(layer.Digest))
	}
	return encode([]dockerManifest{m})
}

func repoTags(name image.Reference) []string {
	if name.Tag == "" {
		return nil
	}
	return []string{name.Familiar()}
}

// encode marshals values that have a JSON form: strings, numbers, lists and maps of them.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("archive: " + err.Error())
	}
	return b
}
