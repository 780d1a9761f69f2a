package archive

import (
	"archive/tar"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// legacy is an image as docker save wrote it up to version 24: the config, manifest.json and repositories,
// then a directory for each layer with a decompressed layer.tar. A tar header has the size of its entry, so
// each layer is decompressed twice: once to measure and check it, and once to write it.
type legacy struct {
	img    image.Image
	config imageConfig
	layers []v1Layer
	sizes  []int64 // of each layer.tar
}

func writeLegacy(ctx context.Context, w io.Writer, img image.Image, blobs Blobs) error {
	l, err := prepareLegacy(ctx, img, blobs)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := l.writeDocuments(tw); err != nil {
		return err
	}
	if err := l.writeLayers(ctx, tw, blobs); err != nil {
		return err
	}
	return tw.Close()
}

func prepareLegacy(ctx context.Context, img image.Image, blobs Blobs) (legacy, error) {
	if err := img.Validate(); err != nil {
		return legacy{}, err
	}
	if err := checkLoadable(img); err != nil {
		return legacy{}, err
	}
	config, err := readConfig(img, blobs)
	if err != nil {
		return legacy{}, err
	}
	layers, err := v1Layers(config)
	if err != nil {
		return legacy{}, fmt.Errorf("config %s: %w", img.Config.Digest, err)
	}
	sizes, err := measure(ctx, img.Layers, config.diffIDs, blobs)
	return legacy{img, config, layers, sizes}, err
}

func (l legacy) writeDocuments(tw *tar.Writer) error {
	config := l.img.Config.Digest.Encoded() + ".json"
	if err := writeFile(tw, config, l.config.raw); err != nil {
		return err
	}
	m := dockerManifest{Config: config, RepoTags: repoTags(l.img.ArchiveName()), Layers: []string{}}
	for _, layer := range l.layers {
		m.Layers = append(m.Layers, layer.path())
	}
	if err := writeFile(tw, "manifest.json", encode([]dockerManifest{m})); err != nil {
		return err
	}
	name := l.img.ArchiveName()
	if name.Tag == "" || len(l.layers) == 0 {
		return nil
	}
	top := l.layers[len(l.layers)-1].id
	return writeFile(tw, "repositories", encode(map[string]map[string]string{name.FamiliarName(): {name.Tag: top}}))
}

func (l legacy) writeLayers(ctx context.Context, tw *tar.Writer, blobs Blobs) error {
	first := make(map[digest.Digest]string) // path of the first layer.tar with a diff ID
	for i, layer := range l.layers {
		if err := tw.WriteHeader(dirHeader(layer.id)); err != nil {
			return err
		}
		if err := writeFile(tw, layer.id+"/VERSION", []byte("1.0")); err != nil {
			return err
		}
		if err := writeFile(tw, layer.id+"/json", layer.json); err != nil {
			return err
		}
		var err error
		if same, ok := first[layer.diffID]; ok {
			err = tw.WriteHeader(linkHeader(layer.path(), "../"+same)) // as docker save has it
		} else {
			first[layer.diffID] = layer.path()
			err = writeLayer(ctx, tw, fileHeader(layer.path(), l.sizes[i]), blobs, l.img.Layers[i])
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.img.Layers[i].Digest, err)
		}
	}
	return nil
}

func writeFile(tw *tar.Writer, name string, content []byte) error {
	if err := tw.WriteHeader(fileHeader(name, int64(len(content)))); err != nil {
		return err
	}
	_, err := tw.Write(content)
	return err
}

func writeLayer(ctx context.Context, tw *tar.Writer, h *tar.Header, blobs Blobs, b ocispec.Descriptor) error {
	r, err := openLayer(blobs, b)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = copyStream(ctx, tw, r)
	return err
}
