package archive

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// newIndex returns an index of two images, as image.ResolveAll would.
func newIndex() (image.Image, memory) {
	one, content := newImage("docker.io/library/app:1", plain("one"))
	two, others := newImage("docker.io/library/app:1", plain("two"))
	for d, b := range others {
		content[d] = b
	}
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"digest":%q},{"digest":%q}]}`,
		ocispec.MediaTypeImageIndex, one.Manifest.Digest, two.Manifest.Digest)
	img := image.Image{
		Reference: one.Reference, Platform: image.All, Digest: digest.FromBytes(raw), ManifestBytes: raw,
		Manifest: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
	}
	for _, i := range []image.Image{one, two} {
		img.Inner = append(img.Inner, image.Manifest{Descriptor: i.Manifest, Bytes: i.ManifestBytes})
		img.Layers = append(append(img.Layers, i.Config), i.Layers...)
	}
	return img, content
}

func TestAnIndexKeepsItsManifestsAndBlobs(t *testing.T) {
	img, content := newIndex()
	archived := readBack(t, write(t, img, OCIArchive, content))
	dir := t.TempDir()
	addTo(t, dir, img, content)
	inDir := readDir(t, dir)
	for _, m := range img.Manifests() {
		checkFile(t, archived, blobPath(m.Digest), string(m.Bytes))
		if string(inDir[blobPath(m.Digest)]) != string(m.Bytes) {
			t.Errorf("the layout lacks %s", m.Digest)
		}
	}
	for _, b := range img.Blobs() {
		if digest.FromBytes(inDir[blobPath(b.Digest)]) != b.Digest || digest.FromBytes(archived.files[blobPath(b.Digest)]) != b.Digest {
			t.Errorf("%s is not in both", b.Digest)
		}
	}
	if names := refNames(t, dir); len(names) != 1 || names[0] != "1" {
		t.Errorf("the ref names are %v", names)
	}
	for _, f := range []Format{DockerArchive, Legacy} {
		if err := Write(t.Context(), nil, img, f, content); err == nil {
			t.Errorf("format %s took an index", f)
		}
	}
}
