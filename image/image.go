package image

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds of what a registry may serve.
const (
	MaxManifestSize = 4 << 20 // bytes of a manifest or an index; distribution and containerd have the same bound
	MaxConfigSize   = 8 << 20 // bytes of a config, which is read into memory
	MaxBlobSize     = 1 << 40 // bytes of a layer
	MaxLayers       = 1000    // layers of an image; overlayfs supports about 128
)

// Image is an image that [Resolve] has found for one platform, or [ResolveAll] for all of an index. An index
// has no Config; its Layers are the configs and the layers of all its images.
type Image struct {
	Reference     Reference
	Name          Reference            // the name in an archive; zero: see [Image.ArchiveName]
	Platform      Platform             // from the index or the config, or else the wanted platform
	Assumed       bool                 // Platform is the wanted one, and neither index nor config was read for it; see [ReadPlatform]
	Digest        digest.Digest        // of the index or manifest that the reference names
	MediaType     string               // of the same
	Listed        []Listed             // the images of the index that the reference names; none if it names a manifest
	Manifest      ocispec.Descriptor   // media type, digest and size of the platform's manifest
	ManifestBytes []byte               // exactly the bytes that were served
	Inner         []Manifest           // what an index from [ResolveAll] lists, and inner indexes list, each after what it lists
	Config        ocispec.Descriptor   // with Data if its content was read; see [Inline]
	Layers        []ocispec.Descriptor // the base layer first; a digest may occur twice; foreign layers have URLs
}

// Manifest is a manifest or an index, with the bytes that were served.
type Manifest struct {
	ocispec.Descriptor
	Bytes []byte
}

// Manifests returns the manifest, or the index after all that it lists: in an order in which a registry
// takes them.
func (i Image) Manifests() []Manifest {
	return append(slices.Clip(i.Inner), Manifest{i.Manifest, i.ManifestBytes})
}

// IsIndex reports whether the image is an index from [ResolveAll].
func (i Image) IsIndex() bool { return IsIndex(i.Manifest.MediaType) }

// Listed is an image that an index lists.
type Listed struct {
	Platform Platform      // zero if the index does not give it
	Digest   digest.Digest // of the manifest
	Size     int64         // bytes of the manifest
}

// Blobs returns the blobs to fetch in addition to the manifest: the config, then the layers, each digest once.
func (i Image) Blobs() []ocispec.Descriptor {
	blobs := make([]ocispec.Descriptor, 0, 1+len(i.Layers))
	seen := make(map[digest.Digest]bool, 1+len(i.Layers))
	for _, b := range append([]ocispec.Descriptor{i.Config}, i.Layers...) {
		if !seen[b.Digest] && b.Digest != "" { // an index has no config
			seen[b.Digest] = true
			blobs = append(blobs, b)
		}
	}
	return blobs
}

// Size returns the number of bytes of all blobs.
func (i Image) Size() (bytes int64) {
	for _, b := range i.Blobs() {
		bytes += b.Size
	}
	return bytes
}

// ArchiveName returns the name with a tag that an archive gives to the image: Name, or else Reference. It is
// zero if the reference has no tag, and if the registry is an IPv6 address: docker load up to version 24
// refuses an archive with such a name.
func (i Image) ArchiveName() Reference {
	switch {
	case i.Name != (Reference{}):
		return i.Name
	case i.Reference.Tag == "" || i.Reference.onIPv6():
		return Reference{}
	}
	return i.Reference
}

// Inline returns the content that a descriptor holds itself (data, OCI image-spec, descriptor.md), and
// whether that has the descriptor's digest and size.
func Inline(d ocispec.Descriptor) ([]byte, bool) {
	return d.Data, int64(len(d.Data)) == d.Size && digest.FromBytes(d.Data) == d.Digest
}

// Validate returns an error if the bytes of the manifest do not have its digest and size, if there are more
// than [MaxLayers] layers, if a digest is not a well-formed SHA-256, or if a size is negative, out of bounds,
// or differs between two descriptors of one digest. Resolve calls it.
func (i Image) Validate() error {
	for _, m := range i.Manifests() {
		if err := checkDescriptor(m.Descriptor, MaxManifestSize); err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		if digest.FromBytes(m.Bytes) != m.Digest || int64(len(m.Bytes)) != m.Size {
			return fmt.Errorf("manifest %s: the bytes received have another digest or size", m.Digest)
		}
	}
	if most := i.mostLayers(); len(i.Layers) > most {
		return fmt.Errorf("manifest %s has %d layers; segpull supports at most %d", i.Manifest.Digest, len(i.Layers), most)
	}
	if err := checkDescriptor(i.Config, MaxConfigSize); err != nil && !i.IsIndex() {
		return fmt.Errorf("manifest %s: config: %w", i.Manifest.Digest, err)
	}
	sizes := map[digest.Digest]int64{i.Config.Digest: i.Config.Size}
	for n, layer := range i.Layers {
		if err := checkDescriptor(layer, MaxBlobSize); err != nil {
			return fmt.Errorf("manifest %s: layer %d: %w", i.Manifest.Digest, n+1, err)
		}
		if size, ok := sizes[layer.Digest]; ok && size != layer.Size {
			return fmt.Errorf("manifest %s: layer %d: %s has two sizes, %d and %d", i.Manifest.Digest, n+1, layer.Digest, size, layer.Size)
		}
		sizes[layer.Digest] = layer.Size
	}
	return nil
}

// mostLayers is how many layers the image may have, or all images of an index together.
func (i Image) mostLayers() int {
	if i.IsIndex() {
		return 10 * MaxLayers
	}
	return MaxLayers
}

func checkDescriptor(d ocispec.Descriptor, most int64) error {
	if d.Digest == "" {
		return errors.New("it has no digest")
	}
	if err := checkDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > most {
		return fmt.Errorf("%s: its size is %d bytes; segpull supports 0 to %d", d.Digest, d.Size, most)
	}
	// No mirror can be asked for a blob without bytes, so the digest has to fit here.
	if (d.Size == 0) != (d.Digest == digest.FromBytes(nil)) {
		return fmt.Errorf("%s: its size is %d bytes, which does not fit its digest", d.Digest, d.Size)
	}
	return nil
}
