package image

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on what a registry may ask of us.
const (
	MaxManifestSize = 4 << 20 // bytes of a manifest or index: what distribution and containerd allow
	MaxConfigSize   = 8 << 20 // bytes of a config: it is read into memory
	MaxBlobSize     = 1 << 40 // bytes of a layer
	MaxLayers       = 1000    // layers of an image; overlayfs ends near 128
)

// Image is an image resolved for one platform. [Resolve] makes one.
type Image struct {
	Reference     Reference
	Name          Reference            // what an archive calls the image; zero: see [Image.ArchiveName]
	Platform      Platform             // the one that it is for, as far as its index or its config says
	Assumed       bool                 // neither gave it so far: it is the wanted one; see ReadPlatform
	Digest        digest.Digest        // what the reference resolved to: an index or a manifest
	Manifest      ocispec.Descriptor   // media type, digest and size of the platform's manifest
	ManifestBytes []byte               // exactly as served
	Config        ocispec.Descriptor   // its Data is set where Resolve has read it; see [Inline]
	Layers        []ocispec.Descriptor // from the base up; a digest may come twice; foreign layers have URLs
}

// Blobs returns what is to be fetched besides the manifest: the config, then the layers, each digest once.
func (i Image) Blobs() []ocispec.Descriptor {
	blobs := make([]ocispec.Descriptor, 0, 1+len(i.Layers))
	seen := make(map[digest.Digest]bool, 1+len(i.Layers))
	for _, b := range append([]ocispec.Descriptor{i.Config}, i.Layers...) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			blobs = append(blobs, b)
		}
	}
	return blobs
}

// ArchiveName returns the name with a tag that an archive gives to the image: Name, or the reference. It is
// zero where there is none to give: for an image that was named by digest alone, and for one of a registry
// with an IPv6 address, as docker load up to version 24 refuses an archive that has such a name in it.
func (i Image) ArchiveName() Reference {
	switch {
	case i.Name != (Reference{}):
		return i.Name
	case i.Reference.Tag == "" || i.Reference.onIPv6():
		return Reference{}
	}
	return i.Reference
}

// Inline returns the content that a descriptor holds itself (OCI image-spec, descriptor.md, data), false if
// it holds none, or not the one that its digest and size name.
func Inline(d ocispec.Descriptor) ([]byte, bool) {
	return d.Data, int64(len(d.Data)) == d.Size && digest.FromBytes(d.Data) == d.Digest
}

// Validate checks the image's bounds: the manifest's bytes against their digest, the number of layers,
// the form of every digest, and sizes. Resolve has called it; call it for an Image made by hand.
func (i Image) Validate() error {
	if err := checkDescriptor(i.Manifest, MaxManifestSize); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if digest.FromBytes(i.ManifestBytes) != i.Manifest.Digest || int64(len(i.ManifestBytes)) != i.Manifest.Size {
		return fmt.Errorf("manifest %s: the bytes received have another digest or size", i.Manifest.Digest)
	}
	if len(i.Layers) > MaxLayers {
		return fmt.Errorf("manifest %s has %d layers; segpull supports at most %d", i.Manifest.Digest, len(i.Layers), MaxLayers)
	}
	if err := checkDescriptor(i.Config, MaxConfigSize); err != nil {
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
	// Of a blob without bytes, no mirror could be asked whether that is right.
	if (d.Size == 0) != (d.Digest == digest.FromBytes(nil)) {
		return fmt.Errorf("%s: its size is %d bytes, which does not fit its digest", d.Digest, d.Size)
	}
	return nil
}
